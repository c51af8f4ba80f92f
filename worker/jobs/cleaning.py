"""Cleaning: deleting uploads that are no longer needed from Redis, in short steps."""

import time

import redis

from worker.jobs.scripts import Scripts

_BOUND = 1000  # uploads that one step deletes: some milliseconds of Redis's time


def clean(client: redis.Redis, most_s: float) -> int:
    """Delete such uploads for at most about `most_s` seconds, and return how many."""
    scripts = Scripts(client)
    deadline = time.monotonic() + most_s
    deleted = 0
    while True:
        count, more = scripts.run("clean", bound=_BOUND)
        deleted += int(count)
        if not more or time.monotonic() > deadline:
            return deleted
