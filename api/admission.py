"""What every request passes before anything is done for it, in this order.

1. The host that it names is one of this server's (`api.access`).
2. If it changes something, no page of another origin sent it (`api.access`). A browser that asks
   before it sends a request of a page is answered here (`api.cors`).
3. It has an API key that allows what it asks for, where one is needed (`api.credentials`).
4. Its client may send so much (`api.limits`).

Where a body is large that happens twice: before it is read too, and then so much of it as is right
for its address and only where the lane is open (`api.preflight`).

The short way (`api.express`) takes no request with `Origin`, `Sec-Fetch-Site` or a proxy's header,
and asks the same `Access` for the host, and the same `Authentication` for the key, of those it
takes.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from apiflask import APIFlask
from flask import Response, current_app, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge

from api import cors, credentials, limits
from api.access import Access, Head
from api.kernel import kernel
from api.preflight import MOST, PREFLIGHT
from worker.errors import InvalidRequestError, UnsupportedMediaError
from worker.jobs.records import Lane
from worker.settings import Settings

_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]{1,80}){0,10}")
_OPTIONS_BYTES: Final = 8 * 1024 * 1024  # for what is sent beside a model; see `api.sources`
_LANES: Final = {
    "predictions.create": Lane.INTERACTIVE,
    "batches.create": Lane.BULK,
    "freezes.create": Lane.FREEZING,
    "inspections.create": Lane.FREEZING,
}


def register(app: APIFlask, settings: Settings) -> None:
    """Make `app` admit requests."""
    access: Access = app.extensions["access"]

    def admit() -> Response | None:
        _check_prefix()
        access.check(_head(settings.trusted_proxies))
        if (answer := cors.asked_before()) is not None:
            return answer
        _check_encoding()
        credentials.authenticate()
        if PREFLIGHT in request.environ:
            return _ask_for_body(settings)
        limits.count()
        return None

    app.before_request(admit)


def _check_prefix() -> None:
    """Raise where a proxy tells a path that links cannot begin with."""
    if not _PREFIX.fullmatch(request.script_root):
        raise InvalidRequestError(
            f"'{request.script_root[:80]}' in X-Forwarded-Prefix is no path under which this "
            "server can be reached."
        )


def _check_encoding() -> None:
    """Raise where the body is compressed, which says nothing of how large it will be."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaError(
            f"The request's body has the Content-Encoding '{encoding[:40]}': send it as it is. "
            "Archives of images and of models may be compressed."
        )


def is_secure(proxies: int) -> bool:
    """Whether the client of this request speaks TLS, be it with a trusted proxy."""
    return request.is_secure or _told(request.headers, "X-Forwarded-Proto", proxies) == "https"


def _head(proxies: int) -> Head:
    """Return the head of the request that this thread serves."""
    headers, environ = request.headers, request.environ
    before = environ.get("werkzeug.proxy_fix.orig", {})  # what a proxy told took its place
    hosts = [before.get("HTTP_HOST") or environ.get("HTTP_HOST", "")]
    target = str(environ.get("RAW_URI", "/"))
    if not target.startswith("/") and "://" in target:  # it is for the host that it names itself
        hosts.append(urlsplit(target).netloc)
    hosts += filter(None, [_told(headers, "X-Forwarded-Host", proxies)])
    return Head(
        method=request.method,
        version=(1, 0) if environ.get("SERVER_PROTOCOL") == "HTTP/1.0" else (1, 1),
        hosts=hosts,
        scheme=_told(headers, "X-Forwarded-Proto", proxies) or None,
        origin=headers.get("Origin"),
        fetch_site=headers.get("Sec-Fetch-Site"),
    )


def _told(headers: Headers, name: str, proxies: int) -> str:
    """Return what the outermost of so many trusted proxies tells in a header, if anything."""
    if not proxies:
        return ""
    values = [value.strip() for value in headers.get(name, "").split(",")]
    return values[max(0, len(values) - proxies)].lower()


def _ask_for_body(settings: Settings) -> Response:
    """Say that the body of this request may come, or raise for what is refused without it."""
    if request.routing_exception is not None:
        raise request.routing_exception
    endpoint = str(request.endpoint)
    most = int(current_app.config["MAX_CONTENT_LENGTH"])
    if endpoint in ("freezes.create", "inspections.create"):
        most = settings.max_model_bytes + _OPTIONS_BYTES
    elif endpoint in ("batches.create", "batches.add"):
        most = settings.max_request_bytes
    if (request.content_length or 0) > most:
        request.max_content_length = most
        raise RequestEntityTooLarge
    lane = _LANES.get(endpoint)
    if lane is not None:
        brings = request.content_length or 0 if lane is Lane.FREEZING else 0
        kernel().check_open(lane, limits.client(), brings)
    return Response(status=204, headers={MOST: str(most)})
