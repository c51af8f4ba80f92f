"""Room: how much more Redis may hold before uploads are refused."""

import re

import redis

_FIELD = re.compile(rb"(?:^|\n)(maxmemory|used_memory):(\d+)")


def room(client: redis.Redis, share: float) -> float:
    """Return the bytes left below `share` of Redis's maxmemory; infinite where it has no limit."""
    memory = client.info("memory")
    return _left(int(memory.get("maxmemory", 0)), int(memory["used_memory"]), share)


def room_told(info: bytes, share: float) -> float:
    """Return the same of what Redis answers to `INFO memory`."""
    fields = {name: int(number) for name, number in _FIELD.findall(info)}
    return _left(fields.get(b"maxmemory", 0), fields[b"used_memory"], share)


def _left(limit: int, used: int, share: float) -> float:
    return limit * share - used if limit else float("inf")
