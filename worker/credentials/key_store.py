"""Keeps API keys in Redis, where every API process of every host finds them."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import redis
from redis.client import Pipeline

from worker.contract import keys as contract
from worker.contract.base import as_json, built, moment
from worker.credentials.api_key import (
    Grant,
    Scope,
    digest_of,
    is_key_id,
    new_key_id,
    new_secret,
)
from worker.errors import ConflictError, InvalidRequestError, NotFoundError
from worker.jobs.keys import key

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]{1,100}")
MOST_DAYS = 3650.0
_FIELDS = ("name", "scopes", "created", "expires", "revoked", "used", "rate", "digest", "earlier")
_DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """What is known of a key, but for the key itself. Times are milliseconds since 1970."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None
    used_ms: int | None  # to the minute
    rate: float | None

    @property
    def state(self) -> Literal["active", "expired", "revoked"]:
        """`active`, `expired` or `revoked`."""
        if self.revoked_ms is not None:
            return "revoked"
        return "expired" if self.expires_ms is not None and self.expires_ms <= _now() else "active"

    def answer(self) -> contract.Key:
        """Return the key as the contract shows it."""
        return built(
            contract.Key,
            id=self.id,
            name=self.name,
            scopes=[scope.value for scope in self.scopes],
            state=self.state,
            created_at=moment(self.created_ms),
            last_used_at=moment(self.used_ms),
            expires_at=moment(self.expires_ms),
            revoked_at=moment(self.revoked_ms),
            rate=self.rate,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the same, ready for JSON."""
        return as_json(self.answer())


class KeyWithSecret(NamedTuple):
    """A key that was made or renewed; the secret is known only here and now."""

    key: ApiKey
    secret: str


class KeyStore:
    """Makes, lists, renews and revokes keys, and says what one allows."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    # -- managing keys --------------------------------------------------------------------------

    def create(
        self,
        name: str,
        scopes: frozenset[Scope],
        *,
        days: float | None = None,
        rate: float | None = None,
    ) -> KeyWithSecret:
        """Make a key, which expires after so many days if at all; raise `InvalidRequestError`.

        From the first one on, the API asks for a key.
        """
        key_id, secret, now = new_key_id(), new_secret(), _now()
        made = ApiKey(
            id=key_id,
            name=_checked_name(name),
            scopes=tuple(scope for scope in Scope if scope in scopes),
            created_ms=now,
            expires_ms=_expiry(now, days),
            revoked_ms=None,
            used_ms=None,
            rate=_checked_rate(rate),
        )
        digest = digest_of(secret)
        with self._client.pipeline() as pipe:
            pipe.set(key("guarded"), 1)
            pipe.hset(
                key("api_key", key_id),
                mapping={
                    "name": made.name,
                    "scopes": ",".join(made.scopes),
                    "created": made.created_ms,
                    "expires": made.expires_ms or "",
                    "rate": made.rate or "",
                    "digest": digest,
                },
            )
            pipe.zadd(key("api_keys"), {key_id: now})
            pipe.hset(key("secrets"), digest, _granted(made))
            pipe.execute()
        return KeyWithSecret(made, secret)

    def all(self) -> list[ApiKey]:
        """Return the keys, oldest first."""
        ids = [raw.decode() for raw in self._client.zrange(key("api_keys"), 0, -1)]
        with self._client.pipeline(transaction=False) as pipe:
            for key_id in ids:
                pipe.hmget(key("api_key", key_id), _FIELDS)
            rows = pipe.execute()
        return [
            _read(key_id, row) for key_id, row in zip(ids, rows, strict=True) if row[0] is not None
        ]

    def get(self, key_id: str) -> ApiKey:
        """Return a key; raise `NotFoundError`."""
        if is_key_id(key_id):
            row = self._client.hmget(key("api_key", key_id), _FIELDS)
            if row[0] is not None:
                return _read(key_id, row)
        raise NotFoundError(f"There is no API key '{key_id[:40]}'.")

    def renew(
        self, key_id: str, *, days: float | None = None, grace_s: float = 0.0
    ) -> KeyWithSecret:
        """Give a key a new secret; the old one works for `grace_s` more seconds.

        It keeps its id, and so its jobs. It expires after so many days from now, or, without
        `days`, after as long as it was made for. Raises `ConflictError` where it was revoked.
        """
        secret, now = new_secret(), _now()
        digest = digest_of(secret)
        renewed: list[ApiKey] = []

        def write(pipe: Pipeline, row: dict[str, str]) -> None:
            before = self.get(key_id)
            if before.revoked_ms is not None:
                raise ConflictError(f"API key {key_id} was revoked: make another one.")
            lasting = days
            if lasting is None and before.expires_ms is not None:
                lasting = (before.expires_ms - before.created_ms) / _DAY_MS
            after = ApiKey(
                **{
                    **vars(before),
                    "created_ms": now,
                    "expires_ms": _expiry(now, lasting),
                }
            )
            pipe.multi()
            if row.get("earlier"):
                pipe.hdel(key("secrets"), row["earlier"])
            if grace_s > 0 and before.state == "active":
                until = now + round(grace_s * 1000)
                until = min(until, before.expires_ms or until)
                pipe.hset(key("secrets"), row["digest"], _granted(before, until_ms=until))
            else:
                pipe.hdel(key("secrets"), row["digest"])
            pipe.hset(key("secrets"), digest, _granted(after))
            pipe.hset(
                key("api_key", key_id),
                mapping={
                    "created": now,
                    "expires": after.expires_ms or "",
                    "digest": digest,
                    "earlier": row["digest"],
                },
            )
            renewed[:] = [after]

        self._change(key_id, write)
        return KeyWithSecret(renewed[0], secret)

    def revoke(self, key_id: str) -> ApiKey:
        """Have a key work no more, nor what was signed in with it, and return it."""

        def write(pipe: Pipeline, row: dict[str, str]) -> None:
            digests = [row[name] for name in ("digest", "earlier") if row.get(name)]
            pipe.multi()
            if digests:
                pipe.hdel(key("secrets"), *digests)
            if not row.get("revoked"):
                pipe.hset(key("api_key", key_id), "revoked", _now())

        self._change(key_id, write)
        return self.get(key_id)

    def _change(self, key_id: str, write: Callable[[Pipeline, dict[str, str]], None]) -> None:
        """Change a key by what is known of it; if it changes meanwhile, once more."""
        self.get(key_id)
        name = key("api_key", key_id)

        def change(pipe: Pipeline) -> None:
            row = {k.decode(): v.decode() for k, v in pipe.hgetall(name).items()}
            write(pipe, row)

        self._client.transaction(change, name)

    # -- checking requests ------------------------------------------------------------------------

    def guarded(self) -> bool:
        """Whether a key was ever made here, if it was revoked since or not."""
        return bool(self._client.exists(key("guarded")))

    # -- for a program of the operator's own ---------------------------------------------------

    def lend(self, name: str, secret: str, scopes: frozenset[Scope], lasting_s: float) -> None:
        """Have a key work for a while that is in no list; the last one of that name no more."""
        self.take_back(name)
        until = _now() + round(lasting_s * 1000)
        granted = json.dumps({"key": name, "name": name, "scopes": sorted(scopes), "until": until})
        self._client.hset(key("secrets"), digest_of(secret), granted)

    def take_back(self, name: str) -> None:
        """Have the key that was lent under a name work no more."""
        for digest, raw in self._client.hscan_iter(key("secrets")):
            if json.loads(raw)["key"] == name:
                self._client.hdel(key("secrets"), digest)


def note_use_command(key_id: str) -> tuple[str | int, ...] | None:
    """Return the command that remembers that a key is used; None where it is in no list."""
    return ("HSET", key("api_key", key_id), "used", _now()) if is_key_id(key_id) else None


def read_grant(raw: bytes | None) -> Grant | None:
    """Return what Redis knows of a key as `Grant`."""
    if raw is None:
        return None
    found = json.loads(raw)
    return Grant(
        key=found["key"],
        name=found["name"],
        scopes=frozenset(Scope(scope) for scope in found["scopes"]),
        until_ms=found.get("until"),
        rate=found.get("rate"),
    )


def _granted(made: ApiKey, until_ms: int | None = None) -> str:
    granted: dict[str, object] = {"key": made.id, "name": made.name, "scopes": list(made.scopes)}
    until = until_ms or made.expires_ms
    if until:
        granted["until"] = until
    if made.rate:
        granted["rate"] = made.rate
    return json.dumps(granted)


def _read(key_id: str, values: list[bytes | None]) -> ApiKey:
    row = {
        name: raw.decode()
        for name, raw in zip(_FIELDS, values, strict=True)
        if raw is not None and raw != b""
    }

    def number(name: str) -> int | None:
        return int(row[name]) if name in row else None

    return ApiKey(
        id=key_id,
        name=row["name"],
        scopes=tuple(Scope(scope) for scope in row["scopes"].split(",")),
        created_ms=number("created") or 0,
        expires_ms=number("expires"),
        revoked_ms=number("revoked"),
        used_ms=number("used"),
        rate=float(row["rate"]) if "rate" in row else None,
    )


def _checked_name(name: str) -> str:
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            "name: give the key a name of at most 100 characters on one line, such as who uses it."
        )
    return name


def _checked_rate(rate: float | None) -> float | None:
    if rate is not None and not 0 < rate <= 1e6:
        raise InvalidRequestError(f"rate must be submissions per second above 0, not {rate:g}.")
    return rate


def _expiry(now_ms: int, days: float | None) -> int | None:
    if days is None:
        return None
    if not 0 < days <= MOST_DAYS:
        raise InvalidRequestError(
            f"expires must be a number of days above 0, at most {MOST_DAYS:g}, not {days:g}."
        )
    return now_ms + round(days * _DAY_MS)


def _now() -> int:
    return round(time.time() * 1000)
