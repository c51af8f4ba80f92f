"""API keys in the Redis of this machine, for whoever runs the server."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import redis

from worker.contract.base import built
from worker.contract.keys import Key, NewKey
from worker.credentials.api_key import parse_scopes
from worker.credentials.key_store import KeyStore, KeyWithSecret
from worker.errors import StoreUnavailableError
from worker.redis.connection import connect
from worker.settings import Settings


class LocalKeys:
    """Answers as the server's interface does."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._keys = KeyStore(client)
        self._settings = settings

    @classmethod
    @contextmanager
    def of(
        cls,
        folder: Path,
        redis_of: Callable[[Settings], AbstractContextManager[redis.Redis]] = connect,
    ) -> Iterator["LocalKeys"]:
        """Give the keys of a data folder or of the Redis that is named.

        `redis_of`: starts the embedded one where it does not run.
        """
        settings = Settings(data=folder)
        try:
            with redis_of(settings) as client:
                yield cls(client, settings)
        except redis.RedisError as error:
            raise StoreUnavailableError(
                f"Redis does not answer ({error}): start it, or name the right one with REDIS_URL "
                "or --data."
            ) from error

    def keys(self) -> list[Key]:
        """Return every key."""
        return [key.answer() for key in self._keys.all()]

    def create_key(
        self, name: str, scopes: list[str], *, expires_days: float | None, rate: float | None
    ) -> NewKey:
        """Make a key."""
        return _shown(self._keys.create(name, parse_scopes(scopes), days=expires_days, rate=rate))

    def renew_key(
        self, key_id: str, *, grace_s: float | None, expires_days: float | None
    ) -> NewKey:
        """Make a key anew."""
        grace = self._settings.key_grace_s if grace_s is None else grace_s
        return _shown(self._keys.renew(key_id, days=expires_days, grace_s=grace))

    def revoke_key(self, key_id: str) -> Key:
        """Have a key work no more."""
        return self._keys.revoke(key_id).answer()


def _shown(made: KeyWithSecret) -> NewKey:
    return built(NewKey, **dict(made.key.answer()), key=made.secret)
