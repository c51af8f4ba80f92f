"""The client for Permafrost servers, for programs and for the command line.

Needs httpx and nothing of the server: neither Flask nor TensorFlow is imported. Each name is
imported when it is first used, because the command line, whose modules are installed below this
one, answers `--help` and completions without httpx.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.client.async_client import AsyncClient
    from api.client.client import Client
    from api.client.errors import (
        ConnectionLostError,
        JobError,
        NotEndedError,
        NotPermafrostError,
        ServerError,
        ServerUnreachableError,
    )
    from api.client.forms import Form
    from api.client.operations.jobs import ENDED
    from api.client.reading import Classification, document
    from api.client.sources import OnServer
    from api.client.steps import Json
    from api.client.uploads import LocalFile
    from worker.errors import InvalidRequestError, PermafrostError

DEFAULT_SERVER = "http://127.0.0.1:8000"

_HOMES = {  # of the names, below this package
    "async_client": ("AsyncClient",),
    "client": ("Client",),
    "errors": (
        *("ConnectionLostError", "InvalidRequestError", "JobError", "NotEndedError"),
        *("NotPermafrostError", "PermafrostError", "ServerError", "ServerUnreachableError"),
    ),
    "forms": ("Form",),
    "operations.jobs": ("ENDED",),
    "reading": ("Classification", "document"),
    "sources": ("OnServer",),
    "steps": ("Json",),
    "uploads": ("LocalFile",),
}

__all__ = [
    "DEFAULT_SERVER",
    "ENDED",
    "AsyncClient",
    "Classification",
    "Client",
    "ConnectionLostError",
    "Form",
    "InvalidRequestError",
    "JobError",
    "Json",
    "LocalFile",
    "NotEndedError",
    "NotPermafrostError",
    "OnServer",
    "PermafrostError",
    "ServerError",
    "ServerUnreachableError",
    "document",
]


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
