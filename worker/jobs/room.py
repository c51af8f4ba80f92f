"""Room: how much more Redis may hold before uploads are refused."""

import redis


def room(client: redis.Redis, share: float) -> float:
    """Return the bytes left below `share` of Redis's maxmemory; infinite where it has no limit."""
    memory = client.info("memory")
    limit = float(memory.get("maxmemory", 0)) * share
    return limit - float(memory["used_memory"]) if limit else float("inf")
