"""How much memory Redis has left for uploads, as this process last heard it."""

import time
from collections.abc import Mapping
from typing import Any

from worker.errors import OverloadedError
from worker.redis.memory import redis_memory_of
from worker.settings import Settings

_FRESH_S = 0.5  # for which what Redis answered is believed


class StoreMemory:
    """Counts uploads against a share of Redis' `maxmemory`. Threads and the loop share one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._noted_at = float("-inf")  # monotonic
        self._limit = float("inf")  # bytes that may lie in Redis
        self._left = 0.0  # bytes of these that are free

    def is_fresh(self) -> bool:
        """Whether it is known well enough how full Redis is; else `note` is to be called."""
        return time.monotonic() - self._noted_at <= _FRESH_S

    def note(self, memory: Mapping[str, Any]) -> None:
        """Take note of what Redis answered to `INFO memory`."""
        self._limit, self._left = redis_memory_of(memory, self._settings.memory_limit_share)
        self._noted_at = time.monotonic()

    def check(self, more_bytes: int) -> None:
        """Raise `OverloadedError` where so many bytes more do not fit."""
        if more_bytes > self._left:
            raise OverloadedError(
                "The queue's memory is almost full, so nothing new is accepted until workers have "
                "caught up: try again later."
            )

    def reserve(self, more_bytes: int) -> None:
        """Count so many bytes more as used; raise `OverloadedError` where they do not fit."""
        self.check(more_bytes)
        self._left -= more_bytes

    def client_bytes(self) -> int:
        """Return how many bytes may lie in Redis for one client, as far as is known; 0: any."""
        share = self._settings.client_memory_share
        if not 0 < share < 1 or self._limit == float("inf"):
            return 0
        return max(1, int(self._limit * share))
