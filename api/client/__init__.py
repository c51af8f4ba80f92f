"""Talks to a Permafrost server: what the command line is written with, and usable by programs.

Needs httpx and nothing of the server: neither Flask nor TensorFlow is imported. Each name is
imported when it is first used, because the command line, whose modules are installed below this
one, answers `--help` and completions without httpx.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.client.client import ENDED, Client
    from api.client.errors import (
        ConnectionLostError,
        NotPermafrostError,
        ServerError,
        ServerUnreachableError,
    )
    from api.client.exchange import Json
    from api.client.forms import ImageForm
    from api.client.uploads import LocalFile

_HOMES = {  # of the names, below this package
    "client": ("ENDED", "Client"),
    "errors": (
        "ConnectionLostError",
        "NotPermafrostError",
        "ServerError",
        "ServerUnreachableError",
    ),
    "exchange": ("Json",),
    "forms": ("ImageForm",),
    "uploads": ("LocalFile",),
}

__all__ = [
    "ENDED",
    "Client",
    "ConnectionLostError",
    "ImageForm",
    "Json",
    "LocalFile",
    "NotPermafrostError",
    "ServerError",
    "ServerUnreachableError",
]


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
