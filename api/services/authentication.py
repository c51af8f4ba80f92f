"""Finds out whose request it is, by its API key or by the session of a browser that signed in.

Grants are cached for a second: a key costs a request next to nothing, and a revoked key stops
working about a second later. Only valid keys are cached, and a limited number of them. Once this
process has read in Redis that keys are required, it requires them even if Redis loses its data.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Any

import redis

from api.services.pipeline import CommandPipeline
from worker.credentials.api_key import Grant, digest_of, is_secret
from worker.credentials.key_store import note_use_command, read_grant
from worker.credentials.sessions import is_session_id
from worker.errors import KeyExpiredError, KeyRequiredError, KeyUnknownError
from worker.jobs.keys import key
from worker.loopback import is_loopback
from worker.settings import Settings

FRESH_S = 1.0  # for which a grant is cached
_TIMEOUT_S = 1.0  # for Redis to answer about a key
_MOST_CACHED = 4096
_NOTED_S = 60.0  # between two notes in Redis that a key is used
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)

REQUIRED = (
    "An API key is needed here: send it as `Authorization: Bearer KEY`, or, with ./permafrost, in "
    "PERMAFROST_API_KEY. The operator of the server makes one with `./permafrost keys create NAME`."
)


@dataclass(frozen=True, slots=True)
class _Cached:
    grant: Grant
    at: float  # monotonic


class Authentication:
    """Finds out what a key allows. Only the event loop may call this."""

    def __init__(self, pipeline: CommandPipeline, settings: Settings) -> None:
        self._pipeline = pipeline
        self._open = settings.access == "open"
        self._keys_required = settings.access == "keys" or (
            settings.access == "auto" and not is_loopback(settings.host)
        )
        self._asked_at: float | None = (
            None  # when Redis last answered that no key was ever made; monotonic
        )
        self._cache: dict[str, _Cached] = {}
        self._noted: dict[str, float] = {}

    async def required(self) -> bool:
        """Whether requests need a key; raises redis's errors if Redis has never answered that."""
        if self._open or self._keys_required:
            return self._keys_required and not self._open
        if self._asked_at is not None and time.monotonic() - self._asked_at < FRESH_S:
            return False
        try:
            guarded = bool(await self._ask("EXISTS", key("guarded")))
        except redis.RedisError:
            if self._asked_at is None:
                raise
            guarded = False  # without Redis no key can have been made meanwhile
        self._keys_required = self._keys_required or guarded
        self._asked_at = time.monotonic()
        return self._keys_required

    async def of_header(self, authorization: str) -> Grant:
        """Return what the key in an `Authorization` header allows; raise `KeyRequiredError`."""
        return await self.of_digest(digest_of(secret_in(authorization)))

    async def of_session(self, session_id: str) -> Grant:
        """Return what a session allows; raise `KeyRequiredError`."""
        if not is_session_id(session_id):
            raise KeyRequiredError(REQUIRED)
        digest = digest_of(session_id)
        name = f"session {digest}"
        known = self._cached(name)
        if known is not None:
            return known
        of_key = await self._ask("GET", key("session", digest))
        grant = await self._granted(of_key.decode()) if of_key else None
        if grant is None:
            self._cache.pop(name, None)
            raise KeyUnknownError("You are signed in no more: sign in again.")
        return self._remember(name, grant)

    async def of_digest(self, digest: str) -> Grant:
        """Return what the key of a digest allows; raise `KeyUnknownError` or `KeyExpiredError`."""
        known = self._cached(digest)
        if known is not None:
            return known
        grant = await self._granted(digest)
        if grant is None:
            self._cache.pop(digest, None)
            raise KeyUnknownError(
                "This API key is not known here, or was revoked: use another one. "
                "`./permafrost keys` lists those that there are."
            )
        return self._remember(digest, grant)

    def is_to_be_noted(self, grant: Grant) -> bool:
        """Whether to note now that a key is used: true once a minute for each key."""
        now = time.monotonic()
        if now - self._noted.get(grant.key, float("-inf")) < _NOTED_S:
            return False
        if len(self._noted) >= _MOST_CACHED:
            self._noted.clear()
        self._noted[grant.key] = now
        return True

    async def note_use(self, grant: Grant) -> None:
        """Note in Redis that a key is used."""
        command = note_use_command(grant.key)
        if command is not None:
            await self._ask(*command)

    async def forget(self, session_id: str) -> None:
        """Forget a session that has ended."""
        self._cache.pop(f"session {digest_of(session_id)}", None)

    async def _granted(self, digest: str) -> Grant | None:
        return read_grant(await self._ask("HGET", key("secrets"), digest))

    async def _ask(self, *command: str | int) -> Any:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await self._pipeline.run(*command)
        except TimeoutError:
            raise redis.TimeoutError("Redis does not answer.") from None

    def _cached(self, name: str) -> Grant | None:
        seen = self._cache.get(name)
        if seen is None or time.monotonic() - seen.at >= FRESH_S:
            return None
        return _not_expired(seen.grant)

    def _remember(self, name: str, grant: Grant) -> Grant:
        _not_expired(grant)
        if len(self._cache) >= _MOST_CACHED:
            self._cache.clear()
        self._cache[name] = _Cached(grant, time.monotonic())
        return grant


def secret_in(authorization: str) -> str:
    """Return the key in the value of an `Authorization` header; raise `KeyRequiredError`."""
    if not authorization:
        raise KeyRequiredError(REQUIRED)
    found = _BEARER.fullmatch(authorization.strip(" \t"))
    if not found:
        raise KeyRequiredError(
            "The Authorization header is not understood: send one of the form "
            "`Authorization: Bearer KEY`."
        )
    if not is_secret(found[1]):
        raise KeyUnknownError(
            "This is no API key, or was cut or mistyped: they begin with pf_ and have 52 signs."
        )
    return found[1]


def _not_expired(grant: Grant) -> Grant:
    if grant.until_ms is not None and time.time() * 1000 >= grant.until_ms:
        raise KeyExpiredError(
            f"The API key '{grant.name}' has expired: have it renewed with "
            f"`./permafrost keys renew {grant.key}`."
        )
    return grant
