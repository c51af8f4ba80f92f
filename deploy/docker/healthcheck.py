"""Tells whether a worker process of this container takes work from a queue.

    python -m deploy.docker.healthcheck QUEUE

It reads what the processes last said of themselves. Cheaper than `celery inspect ping`, and it
knows more: a worker whose processes cannot start still answers a ping.
"""

import socket
import sys

import redis

from worker.jobs.roster import Roster
from worker.redis.connection import connect
from worker.settings import get_settings


def healthy(queue: str, host: str) -> bool:
    """Return whether some process on a host is ready and consumes a queue."""
    settings = get_settings()
    try:
        rows = Roster(connect(settings), settings).read()
    except redis.RedisError:
        return False
    return any(row.host == host and row.state == "ready" and queue in row.queues for row in rows)


if __name__ == "__main__":
    sys.exit(0 if healthy(sys.argv[1], socket.gethostname()) else 1)
