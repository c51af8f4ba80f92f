"""Errors as `application/problem+json` (RFC 9457), or as a page where a browser asks for one."""

import errno
import json
from http import HTTPStatus

import redis
import structlog
from flask import Flask, Response, render_template, request, url_for
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from worker.errors import (
    KeyRequiredError,
    OverloadedError,
    PermafrostError,
    ScopeMissingError,
    StorageError,
    StoreUnavailableError,
    TooLargeError,
)
from worker.formatting import binary_size
from worker.printable import printable

_log = structlog.get_logger(__name__)

_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media",
    417: "expectation_failed",
}
# Uploads in TMPDIR, or the registry, cannot be written.
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
# How errors begin while Redis takes no writes: on a replica, with a full disk, in a failover.
_NOT_WRITABLE = ("READONLY", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "BUSY ")


def register(app: Flask) -> None:
    """Make `app` answer every error in one way."""
    app.register_error_handler(PermafrostError, _permafrost_error)
    app.register_error_handler(redis.RedisError, _store_error)
    app.register_error_handler(OSError, _system_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)


def problem(status: int, code: str, detail: str, *, retry_after: int | None = None) -> Response:
    """Return an error as problem+json, or as a page for a browser."""
    title = HTTPStatus(status).phrase
    detail = printable(detail)
    if _wants_page():
        body = render_template("problem.html", status=status, title=title, detail=detail)
        response = Response(body, status, mimetype="text/html")
    else:
        fields = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        response = Response(
            json.dumps({**fields, "code": code}), status, mimetype="application/problem+json"
        )
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _wants_page() -> bool:
    if request.path.startswith("/v1/"):
        return False
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def _permafrost_error(error: PermafrostError) -> Response:
    if isinstance(error, KeyRequiredError) and _wants_page() and request.method in ("GET", "HEAD"):
        asked = request.script_root + request.full_path.removesuffix("?")
        return Response(status=303, headers={"Location": url_for("pages.sign_in", next=asked)})
    response = problem(error.status, error.code, error.message, retry_after=error.retry_after)
    if isinstance(error, KeyRequiredError):
        fault = "" if error.code == KeyRequiredError.code else ', error="invalid_token"'
        response.headers["WWW-Authenticate"] = f'Bearer realm="Permafrost"{fault}'
    elif isinstance(error, ScopeMissingError):
        response.headers["WWW-Authenticate"] = (
            'Bearer realm="Permafrost", error="insufficient_scope"'
        )
    return response


def _store_error(error: redis.RedisError) -> Response:
    text = str(error)
    _log.warning("store error", action="store_error", error=text)
    # Redis 6 wraps the error of a command in a script into a sentence of its own.
    if isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM command not allowed" in text:
        return _permafrost_error(
            OverloadedError("The queue's memory is full: nothing was accepted, try again later.")
        )
    if isinstance(error, redis.exceptions.ReadOnlyError) or any(
        word in text for word in _NOT_WRITABLE
    ):
        return _permafrost_error(
            StoreUnavailableError("The job store cannot be written at present: try again later.")
        )
    if isinstance(error, redis.ResponseError):  # Redis works; our command was wrong
        return _unexpected_error(error)
    return _permafrost_error(
        StoreUnavailableError("The job store does not answer at present: try again in a moment.")
    )


def _system_error(error: OSError) -> Response:
    if error.errno not in _DISK_ERRORS:
        return _unexpected_error(error)
    _log.error("disk full", action="disk_full", path=request.path, error=str(error))
    return _permafrost_error(StorageError(StorageError.DISK_FULL))


def _http_error(error: HTTPException) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        limit = request.max_content_length or 0
        return _permafrost_error(
            TooLargeError(
                f"The request is larger than the limit of {binary_size(limit)}, or its form has "
                "too many or too long fields."
            )
        )
    status = error.code or 500
    if status < 400:  # a redirect
        return Response(headers=dict(error.get_headers()), status=status)
    code = "internal_error" if status >= 500 else _CODES.get(status, "invalid_request")
    response = problem(status, code, error.description or error.name)
    for name, value in error.get_headers():
        if not name.lower().startswith("content-type"):
            response.headers[name] = value  # `Allow` of 405, `Content-Range` of 416
    return response


def _unexpected_error(error: Exception) -> Response:
    _log.error("unexpected error", action="unexpected_error", path=request.path, exc_info=error)
    return problem(500, "internal_error", "Something went wrong inside; it was written to the log.")
