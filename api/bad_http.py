"""What is answered to what is not HTTP: gunicorn's refusals in our own form.

The server's parser raises, and gunicorn alone would answer HTML. A body is only parsed while it is
read, so its errors come up inside views.
"""

import json
from http import HTTPStatus
from typing import Final, NamedTuple

from apiflask import APIFlask
from flask import Response
from gunicorn.http import errors

from api.headers import ALWAYS, NOT_KEPT
from api.problems import problem
from worker.errors import StorageError


class Refusal(NamedTuple):
    """An error that ends the connection."""

    status: int
    code: str
    detail: str


_HEADER = Refusal(400, "invalid_request", "A header of the request is not as HTTP/1.1 has them.")
_CHUNK = Refusal(
    400, "invalid_request", "The body is not sent in chunks as its Transfer-Encoding says."
)
TOO_SLOW: Final = Refusal(408, "request_timeout", "The request was too slow in coming: try again.")
HEADERS_TOO_LARGE: Final = Refusal(
    431, "headers_too_large", "The request's headers are larger than is accepted."
)
TOO_LARGE: Final = Refusal(413, "too_large", "The request's body is larger than is accepted.")
CRUMBS: Final = Refusal(
    400, "invalid_request", "The body is sent in chunks that are too small: send larger ones."
)
FULL: Final = Refusal(
    503, "overloaded", "There is no room for so much that arrives at once: try again later."
)
DISK_FULL: Final = Refusal(StorageError.status, StorageError.code, StorageError.DISK_FULL)
_INTERNAL = Refusal(
    500, "internal_error", "Something went wrong inside; it was written to the log."
)
_OTHER = Refusal(400, "invalid_request", "The request is not HTTP/1.1.")
_REFUSALS: Final[dict[type[Exception], Refusal]] = {
    errors.InvalidResponseHeader: _INTERNAL,
    errors.InvalidResponseHeaderName: _INTERNAL,
    errors.ConfigurationProblem: _INTERNAL,
    errors.InvalidRequestLine: Refusal(
        400, "invalid_request", "The request's first line is not METHOD PATH HTTP/1.1."
    ),
    errors.InvalidRequestMethod: Refusal(
        400, "invalid_request", "The request's method is none of HTTP's."
    ),
    errors.InvalidHTTPVersion: Refusal(
        400, "invalid_request", "Only HTTP/1.0 and HTTP/1.1 are spoken here."
    ),
    errors.InvalidHeader: _HEADER,
    errors.InvalidHeaderName: _HEADER,
    errors.ObsoleteFolding: _HEADER,
    errors.InvalidSchemeHeaders: _HEADER,
    errors.UnsupportedTransferCoding: Refusal(
        400, "invalid_request", "The only Transfer-Encoding that is understood is chunked."
    ),
    errors.ExpectationFailed: Refusal(
        417, "expectation_failed", "The only Expect that is understood is 100-continue."
    ),
    errors.LimitRequestLine: Refusal(
        414, "uri_too_long", "The request's address is longer than is accepted."
    ),
    errors.LimitRequestHeaders: HEADERS_TOO_LARGE,
    errors.InvalidChunkSize: _CHUNK,
    errors.InvalidChunkExtension: _CHUNK,
    errors.ChunkMissingTerminator: _CHUNK,
    errors.NoMoreData: Refusal(
        400, "invalid_request", "The request ended before all that it announced was sent."
    ),
    TimeoutError: TOO_SLOW,
}


def refusal(error: BaseException) -> Refusal:
    """Return what is answered where the server could not read a request, or failed to answer it."""
    for kind in type(error).__mro__:
        if kind in _REFUSALS:
            return _REFUSALS[kind]
    return _OTHER if isinstance(error, errors.ParseException) else _INTERNAL


def raw_answer(refused: Refusal) -> bytes:
    """Return the whole response, for where there is no application to make one."""
    title = HTTPStatus(refused.status).phrase
    fields = {"type": "about:blank", "title": title, "status": refused.status}
    body = json.dumps({**fields, "detail": refused.detail, "code": refused.code}).encode()
    headers = {
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": NOT_KEPT,
        **ALWAYS,
    }
    if refused in (FULL, DISK_FULL):
        headers["Retry-After"] = str(StorageError.retry_after)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {refused.status} {title}\r\n{head}\r\n".encode("ascii") + body


def register(app: APIFlask) -> None:
    """Make `app` answer what is wrong with a body that a view reads."""
    for kind in (errors.ParseException, errors.NoMoreData, TimeoutError):
        app.register_error_handler(kind, _refuse)


def _refuse(error: Exception) -> Response:
    refused = refusal(error)
    return problem(refused.status, refused.code, refused.detail)
