"""Cross-origin resource sharing: pages of origins that the operator trusts may read the answers.

Fetch Standard, section 3.3 (https://fetch.spec.whatwg.org/#http-cors-protocol). Cookies are never
shared: such a page sends an API key of its own in `Authorization`.
"""

from typing import Final

from flask import Flask, Response, request
from werkzeug.datastructures import HeaderSet

from api.access.origin_policy import OriginPolicy

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_HEADERS: Final = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID"),
    *("Prefer", "traceparent", "tracestate"),
)
_SHOWN: Final = (
    *("Content-Disposition", "ETag", "Location", "Preference-Applied"),
    "Retry-After",
)
_MAX_AGE_S: Final = 600  # for which a browser may cache the answer to a preflight request


def register(app: Flask) -> None:
    """Let trusted pages read what `app` answers, errors too."""
    policy: OriginPolicy = app.extensions["origin_policy"]

    def share(response: Response) -> Response:
        if not policy.trusts_any:
            return response
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is not None and policy.trusts(origin):
            response.access_control_allow_origin = origin
            response.access_control_expose_headers = HeaderSet(_SHOWN)
        return response

    app.after_request(share)


def preflight_response() -> Response | None:
    """Return the answer to a preflight request of a browser, or None where it is none."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    response = Response(status=204)
    response.access_control_allow_methods = HeaderSet(_METHODS)
    response.access_control_allow_headers = HeaderSet(_HEADERS)
    response.access_control_max_age = _MAX_AGE_S
    return response
