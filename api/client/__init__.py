"""Talks to a Permafrost server: what the command line is written with, and usable by programs.

Needs httpx and nothing of the server: neither Flask nor TensorFlow is imported.
"""

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
