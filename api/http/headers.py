"""Headers of every answer: how browsers may use it, and which caches may store it."""

from typing import Final

from flask import Flask, Response, request

# On every answer, also on errors of the parser: browsers must not guess another content type, and
# must not let a page of another origin embed the answer as an image or a script.
ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOT_STORED: Final = "no-store"
_REVALIDATED: Final = "private, no-cache"


def register(app: Flask) -> None:
    """Set the headers on everything that `app` answers, errors too."""
    app.after_request(_set)


def _set(response: Response) -> Response:
    headers = response.headers
    headers.extend(ALWAYS)
    kept = headers.get("Cache-Control")
    if kept is None:
        headers.add("Cache-Control", NOT_STORED)
    elif kept == "no-cache" and request.path.startswith("/v1/"):  # a file with an ETag
        headers["Cache-Control"] = _REVALIDATED
    return response
