"""What an API key looks like and what it allows.

    pf_ + 43 signs for 256 random bits + 6 signs for a checksum, all of 0-9, A-Z, a-z

The prefix lets secret scanners and people tell what it is, the checksum (CRC-32) tells a mistyped
key without asking anybody. Only its SHA-256 is stored. A slow hash as for passwords would add
nothing: nobody can try 2^256 keys, however fast the hash. A key is looked up by that hash, so no
time that an answer takes says how much of a guess was right.
"""

import hashlib
import re
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from worker.errors import InvalidRequestError

PREFIX = "pf_"
_SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_BYTES = 32
_RANDOM_SIGNS = 43  # 62 ** 43 > 2 ** 256
_CHECK_SIGNS = 6  # 62 ** 6 > 2 ** 32
_FORM = re.compile(f"{PREFIX}[0-9A-Za-z]{{{_RANDOM_SIGNS + _CHECK_SIGNS}}}")
_KEY_ID = re.compile(r"[0-9a-f]{12}")


class Scope(StrEnum):
    """What an API key allows."""

    SUBMIT = "submit"  # predictions and batches: send, add to, retry, cancel
    READ = "read"  # its own jobs and their results; models, workers, metrics
    FREEZE = "freeze"  # freezes and inspections, and new preprocessing of a model
    ADMIN = "admin"  # all of that, everybody's jobs, the models' aliases, retiring, and keys


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What the sender of a key may do."""

    key: str  # the key's id, by which jobs are owned and clients counted
    name: str
    scopes: frozenset[Scope]
    until_ms: int | None = None  # since 1970; None: it does not expire
    rate: float | None = None  # submissions per second; None: as the settings say

    def allows(self, scope: Scope) -> bool:
        """Whether a scope is among those granted."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def owner(self) -> str | None:
        """The key whose jobs are the only ones there are, or None where all are to be seen."""
        return None if Scope.ADMIN in self.scopes else self.key


def new_secret() -> str:
    """Return a new API key."""
    number = int.from_bytes(secrets.token_bytes(_RANDOM_BYTES))
    body = _base62(number, _RANDOM_SIGNS)
    return PREFIX + body + _check(body)


def is_secret(text: str) -> bool:
    """Whether a text has the form of an API key, its checksum included."""
    if not _FORM.fullmatch(text):
        return False
    body = text[len(PREFIX) : -_CHECK_SIGNS]
    return text.endswith(_check(body))


def digest_of(secret: str) -> str:
    """Return the hash by which a key is known."""
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def new_key_id() -> str:
    """Return an id for a key; it is no secret."""
    return secrets.token_hex(6)


def is_key_id(text: str) -> bool:
    """Whether a text has the form of a key's id."""
    return _KEY_ID.fullmatch(text) is not None


def parse_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes of these names; raise `InvalidRequestError` for another one, or none."""
    found = set()
    for name in names:
        try:
            found.add(Scope(name))
        except ValueError:
            raise InvalidRequestError(
                f"'{name[:40]}' is no scope: choose of {', '.join(Scope)}."
            ) from None
    if not found:
        raise InvalidRequestError(f"Name at least one scope: {', '.join(Scope)}.")
    return frozenset(found)


def _base62(number: int, signs: int) -> str:
    text = ""
    for _ in range(signs):
        number, rest = divmod(number, len(_SIGNS))
        text = _SIGNS[rest] + text
    return text


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECK_SIGNS)
