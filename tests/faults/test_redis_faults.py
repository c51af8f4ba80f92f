"""Redis is killed, stands still, or loses what belongs to the broker; nothing else is lost."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from tests.support.chance import chance
from tests.support.polling import wait_until
from tests.support.scene import Scene, Tell, staged
from worker.jobs.keys import PREFIX

IMAGES = 1000
ANSWER_S = 5.0  # within which the API says that the store does not answer
LAST_S = 1.0  # that Redis may not have written to the disk yet
STOPPED_S = 30.0
# Microseconds for each command of its file; after each 1,000 it answers that it is loading.
SLOW_TO_LOAD = ("--key-load-delay", "20")
CONSUMING_S = 10.0  # within which work goes on once Redis is back


@dataclass
class WithRedis(Scene):
    """A system of two worker processes, and its checker."""

    def seconds_until_work_goes_on(self) -> float:
        """Return how long it takes from now until something new is done."""
        back = time.monotonic()
        self.checker.finish(self.checker.submit(), within_s=60)
        return round(time.monotonic() - back, 1)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithRedis]:
    data = tmp_path_factory.mktemp("redis") / "data"
    with staged(
        WithRedis,
        data,
        IMAGES,
        apis=2,
        inject=["witness"],
        PERMAFROST_LEASE_S="3",
        PERMAFROST_SWEEP_INTERVAL_S="0.5",
    ) as found:
        yield found


@pytest.mark.timeout(300)
def test_a_redis_that_is_killed_loses_at_most_its_last_second(
    scene: WithRedis, record_property: Tell
) -> None:
    random_ = chance(record_property)
    servers, checker = scene.servers, scene.checker
    may_be_lost, back_s = [], []

    def kill_and_start() -> None:
        begin = time.monotonic() - LAST_S
        servers.redis.kill()
        may_be_lost.append((begin, time.monotonic()))
        servers.redis.start()
        back_s.append(scene.seconds_until_work_goes_on())

    with checker.clients(2):
        for _ in range(2):
            scene.submit()
            time.sleep(1.2 + random_.random() / 2)  # a batch must not be lost with its last second
            kill_and_start()
    checker.settle(within_s=120)
    kill_and_start()  # while the workers do nothing but wait for tickets
    lost = checker.judge(may_be_lost=may_be_lost)
    runs = checker.judge_runs()
    record_property("accepted", len(checker.accepted) + len(checker.batches) * IMAGES)
    record_property("of the last second lost", lost)
    record_property("run twice", runs.repeated)
    record_property("work went on after s", back_s)
    assert max(back_s) <= CONSUMING_S


@pytest.mark.timeout(300)
def test_a_redis_that_takes_long_to_load_its_data_is_waited_for(
    scene: WithRedis, record_property: Tell
) -> None:
    """Meanwhile it answers everything with an error, also that a ticket was worked on."""
    servers, checker = scene.servers, scene.checker
    checker.settle(within_s=120)
    back_s, loading_s = [], []
    with checker.clients(2):
        for _ in range(2):
            checker.reach(scene.submit(), 1)
            time.sleep(LAST_S + 0.5)
            servers.redis.kill()
            killed = time.monotonic()
            servers.redis.start(*SLOW_TO_LOAD)
            loading_s.append(round(time.monotonic() - killed, 1))
            back_s.append(scene.seconds_until_work_goes_on())
    record_property("loading s", loading_s)
    record_property("work went on after s", back_s)
    checker.settle(within_s=120)
    checker.judge()
    assert min(loading_s) > 1, "it has loaded too quickly, so this has shown nothing"
    assert max(back_s) <= CONSUMING_S


@pytest.mark.timeout(300)
def test_a_power_cut_costs_the_last_second_and_nothing_else(
    scene: WithRedis, record_property: Tell
) -> None:
    servers, checker = scene.servers, scene.checker
    checker.settle(within_s=120)
    repeated = checker.runs().repeated
    scene.submit()
    before = scene.submit()  # so that there is more work than for the time until the cut
    checker.reach(before, 1)
    with checker.clients(2):
        begin, written = time.monotonic(), servers.redis.written
        time.sleep(LAST_S)
        servers.redis.lose_power(written)
        end = time.monotonic()
        servers.redis.start()
        back_s = scene.seconds_until_work_goes_on()
    lost = checker.judge(may_be_lost=[(begin, end)])
    record_property("lost", lost)
    record_property("run twice", checker.judge_runs().repeated - repeated)
    record_property("work went on after", f"{back_s} s")
    assert lost > 0, "nothing was lost, so this has shown nothing"
    assert back_s <= CONSUMING_S


READS = [
    *("/v1/jobs", "/v1/jobs/JOB", "/v1/jobs/JOB?wait=20", "/v1/jobs/JOB/events"),
    *("/v1/batches/JOB/results", "/v1/workers", "/readyz", "/metrics"),
]


@pytest.mark.timeout(300)
def test_a_redis_that_stands_still_is_said_and_hurts_nothing(
    scene: WithRedis, record_property: Tell
) -> None:
    servers, checker = scene.servers, scene.checker
    repeated = checker.runs().repeated
    job_id = scene.submit()
    took_s: list[float] = []
    over = threading.Event()

    def read(path: str) -> None:
        """Read again and again; each answer must be 503 and come in time."""
        while not over.is_set():
            started = time.monotonic()
            answer = httpx.get(servers.url + path.replace("JOB", job_id), timeout=30)
            if over.is_set():  # it may have met a Redis that goes on
                return
            took_s.append(time.monotonic() - started)
            assert answer.status_code == 503, f"{path}: {answer.status_code}"
            if path != "/readyz":
                assert answer.json()["code"] == "store_unavailable"
                assert answer.headers["Retry-After"]

    checker.reach(job_id, 1)
    with checker.clients(2), ThreadPoolExecutor(len(READS) + 1) as pool:
        servers.redis.process.send_signal(signal.SIGSTOP)
        try:
            stopped = time.monotonic()
            asked = [pool.submit(read, path) for path in READS]
            another = pool.submit(scene.submit)
            assert httpx.get(f"{servers.url}/healthz", timeout=5).status_code == 200
            wait_until(
                lambda: time.monotonic() > stopped + STOPPED_S or any(a.done() for a in asked),
                within_s=STOPPED_S + 1,
                what="Redis has stood still for long enough",
            )
        finally:
            over.set()
            servers.redis.process.send_signal(signal.SIGCONT)
        back_s = scene.seconds_until_work_goes_on()
        for future in asked:
            future.result()
        another.result()
    checker.judge()
    runs = checker.judge_runs()
    slowest_s = max(*took_s, checker.slowest_refusal_s)
    record_property("slowest answer", f"{slowest_s:.1f} s")
    record_property("work went on after", f"{back_s} s")
    record_property("run twice", runs.repeated - repeated)
    assert checker.refusals["store_unavailable"] >= 3
    assert slowest_s <= ANSWER_S
    assert back_s <= CONSUMING_S
    assert runs.repeated == repeated


@pytest.mark.timeout(300)
def test_the_broker_can_lose_all_of_its_keys(scene: WithRedis, record_property: Tell) -> None:
    servers, checker = scene.servers, scene.checker
    deleted: set[str] = set()

    def delete() -> None:
        with servers.store() as store:
            names = [raw for raw in store.keys("*") if not raw.startswith(PREFIX.encode())]
            if names:
                store.delete(*names)
            deleted.update(raw.decode() for raw in names)

    with checker.clients(2):
        for _ in range(5):
            checker.reach(scene.submit(), 1)
            delete()
    checker.settle(within_s=120)
    delete()  # while the workers do nothing but wait for tickets
    back_s = scene.seconds_until_work_goes_on()
    assert deleted >= {"_kombu.binding.interactive", "unacked"}
    checker.judge()
    record_property("deleted", sorted(deleted))
    record_property("work went on after", f"{back_s} s")
    record_property("run twice", checker.judge_runs().repeated)
    assert back_s <= CONSUMING_S


@pytest.mark.timeout(300)
def test_a_system_that_starts_before_its_redis_waits_for_it(
    scene: WithRedis, record_property: Tell
) -> None:
    servers, checker = scene.servers, scene.checker
    checker.judge()
    servers.kill_all()
    servers.start_worker()
    servers.start_api()
    assert httpx.get(f"{servers.url}/readyz", timeout=10).status_code == 503
    wait_until(
        lambda: "Trying again" in servers.log("worker", lines=20),
        within_s=90,
        what="the worker looks for Redis",
    )
    servers.redis.start()
    back_s = scene.seconds_until_work_goes_on()
    record_property("work began after", f"{back_s} s")
    checker.judge()
    assert back_s <= CONSUMING_S
