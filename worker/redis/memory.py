"""Room: how much Redis may hold before uploads are refused."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import redis


class Room(NamedTuple):
    """What Redis may hold, in bytes; infinite where it has no limit."""

    limit: float  # a share of its maxmemory
    left: float  # of that


def room(client: redis.Redis, share: float) -> Room:
    """Return what Redis may hold by `share` of its maxmemory."""
    return room_told(client.info("memory"), share)


def room_told(memory: Mapping[str, Any], share: float) -> Room:
    """Return the same of what Redis answers to `INFO memory`, as redis-py reads it."""
    most, used = int(memory.get("maxmemory", 0)), int(memory["used_memory"])
    limit = most * share if most else float("inf")
    return Room(limit, limit - used)
