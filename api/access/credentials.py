"""Checks the API key or the session of Flask's request against the view that it asks for."""

from contextlib import suppress
from urllib.parse import urlsplit

import redis
from flask import request

from api.access import identity, permissions
from api.services import LoopServices
from api.services.authentication import REQUIRED
from worker.credentials.api_key import Grant
from worker.errors import ForeignOriginError, KeyRequiredError, ScopeMissingError

COOKIE = "permafrost_session"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def authenticate(loop_services: LoopServices) -> None:
    """Find out whose request this is; raise where it needs a key and has none that allows it.

    Public views and unknown addresses are answered even if the key that is sent is wrong.
    """
    required = loop_services.authentication.required
    if request.endpoint is None or request.endpoint in permissions.PUBLIC:
        with suppress(KeyRequiredError, redis.RedisError):
            if (sent := _sent()) and await required():
                await _become(loop_services, sent)
        return
    if not await required():
        if request.endpoint in permissions.OF_KEYS:
            raise ScopeMissingError(
                "No API key is needed here yet, so keys are not made or shown over HTTP: "
                "make the first one with `./permafrost keys create NAME --scope admin`."
            )
        return
    sent = _sent()
    if sent is None:
        raise KeyRequiredError(REQUIRED)
    permissions.check(await _become(loop_services, sent), request.endpoint)


async def still_valid(loop_services: LoopServices) -> bool:
    """Whether a key that let this request in still would; asked while its answer goes on."""
    if identity.grant() is None:
        return True
    try:
        await _grant(loop_services, _sent() or "")
    except KeyRequiredError:
        return False
    return True


def _sent() -> str | None:
    """Return the `Authorization` header, which comes before a cookie, or nothing of either."""
    return request.headers.get("Authorization") or ("" if COOKIE in request.cookies else None)


async def _grant(loop_services: LoopServices, authorization: str) -> Grant:
    if authorization:
        return await loop_services.authentication.of_header(authorization)
    return await loop_services.authentication.of_session(request.cookies.get(COOKIE, ""))


async def _become(loop_services: LoopServices, authorization: str) -> Grant:
    grant = await _grant(loop_services, authorization)
    if not authorization and request.method not in _SAFE:
        _check_sent_by_own_page()
    identity.set_grant(grant, signed_in=not authorization)
    if loop_services.authentication.is_to_be_noted(grant):
        loop_services.in_background(loop_services.authentication.note_use(grant))
    return grant


def _check_sent_by_own_page() -> None:
    """Raise where a browser does not say that a page of this very server sent the request.

    Browsers send cookies with requests of other sites' pages, too. All browsers of today say which
    site a changing request comes from; a request that does not say it is refused.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    own = site == "same-origin" if site else urlsplit(origin or "").netloc == request.host
    if not own or (origin and urlsplit(origin).netloc != request.host):
        raise ForeignOriginError(
            "Only pages of this server may send this with what you are signed in with: open the "
            "page anew and try again."
        )
