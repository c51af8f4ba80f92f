"""The registry's generation: a counter by which worker processes notice that it has changed."""

import redis
import structlog

from worker.jobs.keys import key

_log = structlog.get_logger(__name__)


def announce_change(client: redis.Redis) -> None:
    """Have workers read the registry again soon.

    The change itself is on disk. If Redis cannot be reached, workers only load the new graph when
    the first job asks for it.
    """
    try:
        client.incr(key("generation"))
    except redis.RedisError as error:
        _log.warning("change not announced", action="change_not_announced", error=str(error))


def generation(client: redis.Redis) -> bytes | None:
    """Return what stands for the registry's present state; it differs after each change."""
    value: bytes | None = client.get(key("generation"))
    return value
