"""The checks that every request passes first, in this order.

1. The host that it names is one of this server's (`api.access.origin_policy`).
2. If it changes something, no page of another origin sent it (`api.access.origin_policy`). A
   browser's preflight request is answered here (`api.access.cors`).
3. It has an API key that allows what it asks for, where one is needed (`api.access.credentials`).
4. Its client may send so much (`api.access.clients`).

They need only the head of the request, so they run in the event loop before its body is read:
behind the door (`api.server.door`) once, whether the loop or a thread answers then; under another
WSGI server, when Flask begins the request.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import ExpectationFailed

from api.access import clients, cors, credentials, identity
from api.access.origin_policy import OriginPolicy, RequestHead
from api.services import LoopServices, services
from worker.credentials.api_key import Grant
from worker.errors import InvalidRequestError, UnsupportedMediaError

_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]{1,80}){0,10}")

_METHODS: Final = "GET, HEAD, POST, PUT, DELETE, OPTIONS"  # of all resources together

ADMITTED: Final = "permafrost.admitted"  # in the environment of a request


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """What the door found out about a request that a thread answers."""

    refused: Exception | None = None
    grant: Grant | None = None
    signed_in: bool = False


def register(app: Flask) -> None:
    """Make `app` admit requests that the door has not admitted."""

    def admit_() -> Response | None:
        admitted: Admitted | None = request.environ.get(ADMITTED)
        if admitted is None:
            return services().loop.run(admit)
        if isinstance(admitted.refused, Exception):
            raise admitted.refused
        if admitted.grant is not None:
            identity.set_grant(admitted.grant, signed_in=admitted.signed_in)
        return None

    app.before_request(admit_)


async def admit(loop_services: LoopServices) -> Response | None:
    """Admit Flask's request, or raise; return an answer where it needs no view."""
    settings = loop_services.settings
    policy: OriginPolicy = current_app.extensions["origin_policy"]
    _check_prefix()
    policy.check(_head(settings.trusted_proxies))
    if (answer := cors.preflight_response()) is not None:
        return answer
    if request.method == "OPTIONS" and request.environ.get("RAW_URI") == "*":
        return Response(status=204, headers={"Allow": _METHODS})
    _check_expectation()
    _check_encoding()
    await credentials.authenticate(loop_services)
    await clients.spend_rate(loop_services)
    return None


def _check_prefix() -> None:
    """Raise where the path prefix of a proxy cannot begin a link."""
    if not _PREFIX.fullmatch(request.script_root):
        raise InvalidRequestError(
            f"'{request.script_root[:80]}' in X-Forwarded-Prefix is no path under which this "
            "server can be reached."
        )


def _check_expectation() -> None:
    """Raise where the client expects what this server does not do (RFC 9110, 10.1.1)."""
    if request.headers.get("Expect", "100-continue").strip().lower() != "100-continue":
        raise ExpectationFailed("The only Expect that is understood is 100-continue.")


def _check_encoding() -> None:
    """Raise where the body is compressed: its real size would be unknown."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaError(
            f"The request's body has the Content-Encoding '{encoding[:40]}': send it as it is. "
            "Archives of images and of models may be compressed."
        )


def is_secure(proxies: int) -> bool:
    """Whether the client of this request uses TLS, with this server or with a trusted proxy."""
    return request.is_secure or _forwarded(request.headers, "X-Forwarded-Proto", proxies) == "https"


def _head(proxies: int) -> RequestHead:
    """Return the head of the request that this thread serves."""
    headers, environ = request.headers, request.environ
    before = environ.get("werkzeug.proxy_fix.orig", {})  # the values before ProxyFix replaced them
    hosts = [before.get("HTTP_HOST") or environ.get("HTTP_HOST", "")]
    target = str(environ.get("RAW_URI", "/"))
    if not target.startswith("/") and "://" in target:  # an absolute target names a host of its own
        hosts.append(urlsplit(target).netloc)
    hosts += filter(None, [_forwarded(headers, "X-Forwarded-Host", proxies)])
    return RequestHead(
        method=request.method,
        version=(1, 0) if environ.get("SERVER_PROTOCOL") == "HTTP/1.0" else (1, 1),
        hosts=hosts,
        scheme=_forwarded(headers, "X-Forwarded-Proto", proxies) or None,
        origin=headers.get("Origin"),
        fetch_site=headers.get("Sec-Fetch-Site"),
    )


def _forwarded(headers: Headers, name: str, proxies: int) -> str:
    """Return the value of a header that the outermost trusted proxy set, or nothing."""
    if not proxies:
        return ""
    values = [value.strip() for value in headers.get(name, "").split(",")]
    return values[max(0, len(values) - proxies)].lower()
