"""The key or the session that Flask's request brings, and whether it may do what it asks for."""

from contextlib import suppress
from urllib.parse import urlsplit

import redis
import structlog
from flask import request

from api import identity, permissions
from api.authentication import REQUIRED
from api.kernel import kernel
from worker.credentials.api_key import Grant
from worker.errors import ForeignOriginError, KeyRequiredError, ScopeMissingError

_log = structlog.get_logger(__name__)

COOKIE = "permafrost_session"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def authenticate() -> None:
    """Find out whose this request is; raise where it needs a key and has none that allows it.

    What everybody may ask for is answered whatever is sent along; so are addresses that are none.
    """
    if request.endpoint is None or request.endpoint in permissions.PUBLIC:
        with suppress(KeyRequiredError, redis.RedisError):
            if (sent := _sent()) and kernel().authentication.required():
                _become(sent)
        return
    if not kernel().authentication.required():
        if _is_of_keys():
            raise ScopeMissingError(
                "No API key is needed here yet, so whoever comes along can make and see none: "
                "make the first one with `./permafrost keys create NAME --scope admin`."
            )
        return
    sent = _sent()
    if sent is None:
        raise KeyRequiredError(REQUIRED)
    permissions.check(_become(sent), request.endpoint)


def _is_of_keys() -> bool:
    return (request.endpoint or "") in permissions.OF_KEYS


def still_valid(grant: Grant | None) -> bool:
    """Whether a key that let a request in still would; asked while an answer goes on for long."""
    if grant is None:
        return True
    try:
        _grant(_sent() or "")
    except KeyRequiredError:
        return False
    return True


def _sent() -> str | None:
    """Return the `Authorization` header, which comes before a cookie, or nothing of either."""
    return request.headers.get("Authorization") or ("" if COOKIE in request.cookies else None)


def _grant(authorization: str) -> Grant:
    authentication = kernel().authentication
    if authorization:
        return authentication.of_header(authorization)
    return authentication.of_session(request.cookies.get(COOKIE, ""))


def _become(authorization: str) -> Grant:
    grant = _grant(authorization)
    if not authorization and request.method not in _SAFE:
        _check_sent_by_own_page()
    identity.become(grant, signed_in=not authorization)
    if kernel().authentication.due_note(grant):
        with suppress(redis.RedisError):
            kernel().authentication.keys.note_use(grant.key)
    return grant


def _check_sent_by_own_page() -> None:
    """Raise where a browser does not say that a page of this very server sent the request.

    A cookie comes along whoever sends it, if the browser does not keep it back. All browsers of
    today say where a request comes from that changes something; one that says nothing is refused.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    own = site == "same-origin" if site else urlsplit(origin or "").netloc == request.host
    if not own or (origin and urlsplit(origin).netloc != request.host):
        raise ForeignOriginError(
            "Only pages of this server may send this with what you are signed in with: open the "
            "page anew and try again."
        )
