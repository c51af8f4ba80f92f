"""Endings: who waits hears of them, and who does not costs nothing."""

import time
from collections.abc import Iterator

import pytest
import redis

from tests.support.polling import wait_until
from worker.connection import connect
from worker.jobs.endings import Endings
from worker.jobs.keys import key
from worker.jobs.store import new_job_id
from worker.settings import Settings

IDLE_S = 0.3


@pytest.fixture
def endings(settings: Settings, client: redis.Redis) -> Iterator[Endings]:
    one = Endings(lambda: connect(settings, timeout_s=10), idle_s=IDLE_S)
    yield one
    one.close()
    wait_until(lambda: _listeners(client) == 0, within_s=10, what="no listener")


def _listeners(client: redis.Redis) -> int:
    ((_, count),) = client.pubsub_numsub(key("ended"))
    return int(count)


def _heard(client: redis.Redis, endings: Endings) -> bytes:
    """Return the record that one who waits is told of."""
    job_id = new_job_id()
    with endings.watch(job_id) as ending:
        wait_until(lambda: _listeners(client) == 1, within_s=10, what="a listener")
        while not ending.record:
            ending.clear()
            client.publish(key("ended"), f"{job_id}the record")
            assert ending.wait(10)
        return ending.record


def test_who_waits_is_told(client: redis.Redis, endings: Endings) -> None:
    assert _heard(client, endings) == b"the record"


def test_nobody_listens_once_nobody_waits_however_much_ends(
    client: redis.Redis, endings: Endings
) -> None:
    _heard(client, endings)

    def silent() -> bool:
        client.publish(key("ended"), f"{new_job_id()}of somebody else")
        return _listeners(client) == 0

    wait_until(silent, within_s=10, what="no listener")
    assert _heard(client, endings) == b"the record"  # and again once somebody does


def test_who_waits_long_is_listened_for_all_the_time(client: redis.Redis, endings: Endings) -> None:
    with endings.watch(new_job_id()):
        wait_until(lambda: _listeners(client) == 1, within_s=10, what="a listener")
        until = time.monotonic() + 4 * IDLE_S
        while time.monotonic() < until:
            assert _listeners(client) == 1
            time.sleep(0.02)
