"""Faults of all kinds, in a random order and often several at once, while work goes on."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from random import Random

import psutil
import pytest

from tests.support.chance import SECONDS, chance
from tests.support.checker import Checker
from tests.support.folders import fill
from tests.support.good_client import RefusedError
from tests.support.jumping import JumpingClock
from tests.support.polling import wait_until
from tests.support.scene import Tell
from tests.support.servers import Servers
from tests.support.tiny_model import publish
from worker.jobs.keys import PREFIX

IMAGES = 1000
SERVICES = ("first", "second")  # of two processes each


class Misfortune:
    """What happens to a system; `happen` picks one thing."""

    def __init__(self, servers: Servers, clock: JumpingClock, chance: Random) -> None:
        self.chance = chance
        self.may_be_lost: list[tuple[float, float]] = []  # what was accepted from when to when
        self.losses = 0  # counted at the beginning and at the end of such a time
        self.happened: list[str] = []
        self._servers = servers
        self._clock = clock
        self._stopped: list[tuple[float, psutil.Process]] = []  # until when
        self._kinds = {
            self.kill_child: 4,
            self.kill_main_process: 2,
            self.kill_service: 2,
            self.restart_service: 1,
            self.kill_api: 1,
            self.kill_redis: 1,
            self.cut_power: 1,
            self.stop_redis: 1,
            self.stop_child: 3,
            self.rob_broker: 1,
            self.cut_connections: 1,
            self.set_clock: 1,
        }

    def happen(self) -> None:
        """Let one thing happen, and what was stopped for long enough go on."""
        self.go_on()
        (kind,) = self.chance.choices(list(self._kinds), list(self._kinds.values()))
        self.happened.append(kind.__name__)
        kind()

    def go_on(self, *, all_of_them: bool = False) -> None:
        """Let what was stopped for long enough go on."""
        for until, process in list(self._stopped):
            if all_of_them or time.monotonic() >= until:
                self._stopped.remove((until, process))
                if process.is_running():
                    process.resume()

    def _service(self) -> str:
        return self.chance.choice(SERVICES)

    def _child(self) -> psutil.Process | None:
        children = self._servers.children(self._servers.services[self._service()])
        return self.chance.choice(children) if children else None

    def _start(self, name: str) -> None:
        self._servers.start_worker(name, environment=self._clock.environment)

    def kill_child(self) -> None:
        if child := self._child():
            child.kill()

    def kill_main_process(self) -> None:
        name = self._service()
        self._servers.services[name].kill()
        self._servers.services[name].wait()
        self._start(name)

    def kill_service(self) -> None:
        name = self._service()
        self._servers.kill(self._servers.services[name])
        self._start(name)

    def restart_service(self) -> None:
        name = self._service()
        self.go_on(all_of_them=True)
        self._servers.services[name].terminate()
        self._servers.services[name].wait(timeout=90)
        self._start(name)

    def kill_api(self) -> None:
        self._servers.kill(self._servers.api)
        self._servers.start_api()

    def kill_redis(self) -> None:
        with self._losing(time.monotonic() - 1.0):
            self._servers.redis.kill()
        time.sleep(self.chance.random())
        self._servers.redis.start()

    def cut_power(self) -> None:
        with self._losing(time.monotonic()):
            written = self._servers.redis.written
            time.sleep(self.chance.random())
            self._servers.redis.lose_power(written)
        self._servers.redis.start()

    @contextmanager
    def _losing(self, begin: float) -> Iterator[None]:
        self.losses += 1
        yield
        self.losses += 1
        self.may_be_lost.append((begin, time.monotonic()))

    def stop_redis(self) -> None:
        process = psutil.Process(self._servers.redis.process.pid)
        process.suspend()
        time.sleep(self.chance.random() * 6)
        process.resume()

    def stop_child(self) -> None:
        if child := self._child():
            child.suspend()
            self._stopped.append((time.monotonic() + self.chance.random() * 8, child))

    def rob_broker(self) -> None:
        with self._servers.store() as store:
            names = [raw for raw in store.keys("*") if not raw.startswith(PREFIX.encode())]
            if names:
                store.delete(*names)

    def cut_connections(self) -> None:
        with self._servers.store() as store:
            store.client_kill_filter(_type="normal", skipme=True)
            store.script_flush()

    def set_clock(self) -> None:
        self._clock.set(self.chance.choice((-1.0, 0.0, 1.0)))


class Uploads:
    """Uploads batches meanwhile, and cancels every third of them."""

    def __init__(self, checker: Checker, misfortune: Misfortune) -> None:
        self._checker = checker
        self._misfortune = misfortune
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Upload one batch after another."""
        with ThreadPoolExecutor(1) as pool:
            uploading = pool.submit(self._go_on)
            try:
                yield
            finally:
                self._over.set()
                uploading.result()

    def _go_on(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            self._one(cancel=number % 3 == 0)

    def _one(self, *, cancel: bool) -> None:
        checker, losses = self._checker, self._misfortune.losses
        job_id = checker.open_upload()
        try:
            checker.upload(job_id, 60)
            if cancel:
                checker.cancel(job_id)
            time.sleep(1.1)  # until it would survive a power cut
        except RefusedError:
            if self._misfortune.losses == losses:
                raise
        if self._misfortune.losses == losses:
            return
        # A part of it may have been lost with Redis's last second, so nothing can be said of it.
        with suppress(RefusedError):
            checker.cancel(job_id)
        del checker.batches[job_id]
        checker.others.add(job_id)


def leftovers(servers: Servers) -> set[str]:
    """Return the keys of what is underway, of which nothing may be left once all has ended.

    What expires by itself, as the upload of a failed image that may be tried again, is no leftover.
    """
    underway = ("claim:", "leases", "queue:", "lane:", "upload:", "open", "known:", "seen:")
    with servers.store() as store:
        return {
            raw.decode()
            for raw in store.keys(f"{PREFIX}*")
            if raw.decode().removeprefix(PREFIX).startswith(underway) and store.ttl(raw) == -1
        }


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(
        tmp_path_factory.mktemp("random") / "data",
        services=SERVICES,
        apis=2,
        inject=["witness"],
        PERMAFROST_LEASE_S="3",
        PERMAFROST_SWEEP_INTERVAL_S="0.5",
        PERMAFROST_MAX_ATTEMPTS="50",  # whoever is killed so often is not to blame
    )
    try:
        publish(servers.models)
        yield servers
    finally:
        servers.remove()


@pytest.mark.timeout(900 + SECONDS)
def test_nothing_is_lost_whatever_happens(servers: Servers, record_property: Tell) -> None:
    random_ = chance(record_property)
    folder = servers.folders / "many"
    answers = fill(folder, IMAGES)
    clock = JumpingClock(servers.data / "clock")
    for name in SERVICES:
        servers.start_worker(name, environment=clock.environment)
    servers.start_api()
    wait_until(servers.ready, within_s=120, what="the system is ready")
    checker = Checker(servers.url, servers.data)
    misfortune = Misfortune(servers, clock, random_)
    job_id, submitted = checker.submit_folder(folder, answers), time.monotonic()
    with checker.clients(2), Uploads(checker, misfortune).running():
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(random_.random())
            if time.monotonic() > submitted + 2 and checker.done(job_id) > IMAGES // 2:
                job_id, submitted = checker.submit_folder(folder, answers), time.monotonic()
                time.sleep(1.1)  # a batch must not be lost with Redis's last second
            misfortune.happen()
        misfortune.go_on(all_of_them=True)
    lost = checker.judge(within_s=240, may_be_lost=misfortune.may_be_lost)
    runs = checker.judge_runs()
    assert not leftovers(servers)
    record_property("faults", len(misfortune.happened))
    record_property("accepted", len(checker.accepted) + sum(map(len, checker.batches.values())))
    record_property("of last seconds lost", lost)
    record_property("run twice", runs.repeated)
    record_property("refused", runs.refused.total())
