"""Headers of every answer: what browsers may make of it, and who may keep it."""

from typing import Final

from flask import Flask, Response, request

# On everything, what is no HTTP too: never taken for another kind of content than it is,
# and never handed to a page of another origin that embeds it as an image or a script.
ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOT_KEPT: Final = "no-store"
_ASKED_EACH_TIME: Final = "private, no-cache"


def register(app: Flask) -> None:
    """Set the headers on everything that `app` answers, errors too."""
    app.after_request(_set)


def _set(response: Response) -> Response:
    headers = response.headers
    headers.extend(ALWAYS)
    kept = headers.get("Cache-Control")
    if kept is None:
        headers.add("Cache-Control", NOT_KEPT)
    elif kept == "no-cache" and request.path.startswith("/v1/"):  # a file with an ETag
        headers["Cache-Control"] = _ASKED_EACH_TIME
    return response
