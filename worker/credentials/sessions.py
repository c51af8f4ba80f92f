"""Browsers that signed in: a random id in a cookie here leads to the key that was given once.

Redis holds the hash of that id and the hash of the key, so neither of them works by what is stored.
A session ends with its key, when its time is up, or by signing out.
"""

import secrets
import string

import redis

from worker.credentials.api_key import digest_of
from worker.jobs.keys import key

_BYTES = 32
_LONGEST = 64
_SIGNS = frozenset(string.ascii_letters + string.digits + "-_")


def is_session_id(text: str) -> bool:
    """Whether a text may be a session's id."""
    return 0 < len(text) <= _LONGEST and _SIGNS.issuperset(text)


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, client: redis.Redis, lasting_s: int) -> None:
        self._client = client
        self._lasting_s = lasting_s

    def begin(self, key_digest: str) -> str:
        """Begin a session of a key and return its id, which is new whatever came before."""
        session_id = secrets.token_urlsafe(_BYTES)
        self._client.set(key("session", digest_of(session_id)), key_digest, ex=self._lasting_s)
        return session_id

    def end(self, session_id: str) -> None:
        """End a session."""
        if is_session_id(session_id):
            self._client.delete(key("session", digest_of(session_id)))
