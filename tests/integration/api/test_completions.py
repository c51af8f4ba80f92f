"""Completions: requests that wait hear of them; nothing listens while none waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
import redis

from api.services.completions import Completion, Completions
from api.services.pipeline import CommandPipeline
from tests.support.polling import wait_until
from worker.jobs.keys import key
from worker.jobs.submissions import new_job_id
from worker.redis.connection import connect_async
from worker.settings import Settings

IDLE_S = 0.3

Told = Callable[[Completions], Awaitable[None]]


@pytest.fixture
def told(settings: Settings, client: redis.Redis) -> Callable[[Told], None]:
    """Return what runs a test in an event loop with completions, which are silent afterwards."""

    def run(test: Told) -> None:
        async def with_endings() -> None:
            pipeline = CommandPipeline(connect_async(settings))
            completions = Completions(lambda: connect_async(settings), pipeline, idle_s=IDLE_S)
            try:
                await test(completions)
            finally:
                await completions.close()
                await pipeline.close()

        asyncio.run(with_endings())
        wait_until(lambda: listeners(client) == 0, within_s=10, what="no listener")

    return run


def listeners(client: redis.Redis) -> int:
    ((_, count),) = client.pubsub_numsub(key("ended"))
    return int(count)


async def until(condition: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends, what
        await asyncio.sleep(0.01)


async def heard(client: redis.Redis, completions: Completions) -> bytes:
    """Return the record that one who waits is told of."""
    job_id = new_job_id()
    with completions.watch(job_id) as completion:
        await until(lambda: listeners(client) == 1, "a listener")
        while not completion.record:
            client.publish(key("ended"), f"{job_id}the record")
            assert await completion.wait(10)
        return completion.record


def test_who_waits_is_told(client: redis.Redis, told: Callable[[Told], None]) -> None:
    async def test(completions: Completions) -> None:
        assert await heard(client, completions) == b"the record"

    told(test)


def test_nobody_listens_once_nobody_waits_however_much_ends(
    client: redis.Redis, told: Callable[[Told], None]
) -> None:
    async def test(completions: Completions) -> None:
        await heard(client, completions)

        def silent() -> bool:
            client.publish(key("ended"), f"{new_job_id()}of somebody else")
            return listeners(client) == 0

        await until(silent, "no listener")
        assert await heard(client, completions) == b"the record"  # and again once somebody does

    told(test)


def test_who_waits_long_is_listened_for_all_the_time(
    client: redis.Redis, told: Callable[[Told], None]
) -> None:
    async def test(completions: Completions) -> None:
        with completions.watch(new_job_id()):
            await until(lambda: listeners(client) == 1, "a listener")
            for _ in range(40):
                assert listeners(client) == 1
                await asyncio.sleep(4 * IDLE_S / 40)

    told(test)


def test_a_completion_that_nobody_told_of_is_found(
    client: redis.Redis, told: Callable[[Told], None]
) -> None:
    async def test(completions: Completions) -> None:
        job_id = new_job_id()
        client.hset(key("job", job_id), "status", "running")
        with completions.watch(job_id) as completion:
            await until(lambda: listeners(client) == 1, "a listener")
            while await completion.wait(0.1):  # for the subscription that began
                pass
            assert not await completion.wait(2 * IDLE_S)
            client.hset(key("job", job_id), "status", "succeeded")
            assert await completion.wait(10)
            assert (completion.record, completion.store_is_silent) == (b"", False)

    told(test)


def test_who_waits_is_told_that_redis_does_not_answer(
    settings: Settings, client: redis.Redis, told: Callable[[Told], None]
) -> None:
    async def test(completions: Completions) -> None:
        gone = CommandPipeline(
            connect_async(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"}))
        )
        blind = Completions(lambda: connect_async(settings), gone, idle_s=IDLE_S)

        async def silent(completion: Completion) -> None:
            while not completion.store_is_silent:
                assert await completion.wait(10)

        with blind.watch(new_job_id()) as completion:
            await silent(completion)
        await blind.close()
        await gone.close()

    told(test)
