"""What every request passes before anything is done for it, in this order.

1. The host that it names is one of this server's (`api.access`).
2. If it changes something, no page of another origin sent it (`api.access`).
3. Its client may send so much (`api.limits`).

The short way (`api.express`) takes no request with `Origin`, `Sec-Fetch-Site` or a proxy's header,
and asks the same `Access` for the host of those it takes.
"""

from urllib.parse import urlsplit

from apiflask import APIFlask
from flask import request
from werkzeug.datastructures import Headers

from api import limits
from api.access import Access, Head
from worker.settings import Settings


def register(app: APIFlask, settings: Settings) -> None:
    """Make `app` admit requests."""
    access: Access = app.extensions["access"]

    def admit() -> None:
        access.check(_head(settings.trusted_proxies))
        limits.count()

    app.before_request(admit)


def _head(proxies: int) -> Head:
    """Return the head of the request that this thread serves."""
    headers, environ = request.headers, request.environ
    hosts = [environ.get("HTTP_HOST", "")]
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
