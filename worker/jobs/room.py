"""Room: how much Redis may hold before uploads are refused."""

import re
from typing import NamedTuple

import redis

_FIELD = re.compile(rb"(?:^|\n)(maxmemory|used_memory):(\d+)")


class Room(NamedTuple):
    """What Redis may hold, in bytes; infinite where it has no limit."""

    limit: float  # a share of its maxmemory
    left: float  # of that


def room(client: redis.Redis, share: float) -> Room:
    """Return what Redis may hold by `share` of its maxmemory."""
    memory = client.info("memory")
    return _room(int(memory.get("maxmemory", 0)), int(memory["used_memory"]), share)


def room_told(info: bytes, share: float) -> Room:
    """Return the same of what Redis answers to `INFO memory`."""
    fields = {name: int(number) for name, number in _FIELD.findall(info)}
    return _room(fields.get(b"maxmemory", 0), fields[b"used_memory"], share)


def _room(most: int, used: int, share: float) -> Room:
    limit = most * share if most else float("inf")
    return Room(limit, limit - used)
