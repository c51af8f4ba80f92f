"""How much memory Redis may use before uploads are refused."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import redis


class RedisMemory(NamedTuple):
    """What Redis may use, in bytes; infinite where it has no limit."""

    limit: float  # a share of its maxmemory
    left: float  # of that


def redis_memory(client: redis.Redis, share: float) -> RedisMemory:
    """Return what Redis may use by `share` of its maxmemory."""
    return redis_memory_of(client.info("memory"), share)


def redis_memory_of(info: Mapping[str, Any], share: float) -> RedisMemory:
    """Return the same from the answer to `INFO memory`, as redis-py reads it."""
    most, used = int(info.get("maxmemory", 0)), int(info["used_memory"])
    limit = most * share if most else float("inf")
    return RedisMemory(limit, limit - used)
