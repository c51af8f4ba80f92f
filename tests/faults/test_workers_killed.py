"""Whole worker services are killed and restarted under load, while others go on."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import httpx
import psutil
import pytest

from tests.support.chance import chance
from tests.support.polling import wait_until
from tests.support.scene import Scene, Tell, staged

IMAGES = 1000
KILLS = 12
SURVIVOR, *VICTIMS = SERVICES = ("first", "second", "third")  # of one process each


@dataclass
class Busy(Scene):
    """A system with a batch that never lets its workers come to rest."""

    job_id: str = ""

    def saturate(self) -> None:
        """See to it that plenty waits."""
        if not self.job_id or self.checker.done(self.job_id) > IMAGES // 2:
            self.job_id = self.submit()

    def wait_for(self, name: str) -> None:
        """Wait until a service takes work."""
        wait_until(lambda: self._is_ready(name), within_s=90, what=f"{name} is ready", every_s=0.2)

    def _is_ready(self, name: str) -> bool:
        pids = {child.pid for child in self.servers.children(self.servers.services[name])}
        try:
            rows = self.servers.rows()
        except httpx.TransportError:
            return False
        return any(row["pid"] in pids and row["state"] == "ready" for row in rows)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    data = tmp_path_factory.mktemp("workers") / "data"
    with staged(
        Busy,
        data,
        IMAGES,
        workers=1,
        services=SERVICES,
        apis=2,
        inject=["witness"],
        PERMAFROST_LEASE_S="3",
        PERMAFROST_SWEEP_INTERVAL_S="0.5",
        PERMAFROST_DEDUPLICATE="false",
    ) as found:
        yield found


@pytest.mark.timeout(400)
def test_main_processes_that_are_killed_lose_nothing(scene: Busy, record_property: Tell) -> None:
    random_ = chance(record_property)
    servers, checker = scene.servers, scene.checker
    orphans: list[psutil.Process] = []
    with checker.clients(2):
        for _, name in zip(range(KILLS), cycle(VICTIMS), strict=False):
            scene.saturate()
            scene.wait_for(name)
            time.sleep(random_.random() / 2)
            service = servers.services[name]
            orphans += servers.children(service)
            service.kill()  # the main process alone
            service.wait()
            servers.start_worker(name)
    checker.judge()
    runs = checker.judge_runs()
    record_property("accepted", len(checker.accepted) + len(checker.batches) * IMAGES)
    record_property("run twice", runs.repeated)
    wait_until(
        lambda: not any(orphan.is_running() for orphan in orphans),
        within_s=20,
        what="no child outlives its main process",
    )


@pytest.mark.timeout(400)
def test_a_rolling_restart_runs_hardly_anything_twice(scene: Busy, record_property: Tell) -> None:
    servers, checker = scene.servers, scene.checker
    wait_until(servers.ready, within_s=90, what="all workers are ready")
    before = checker.runs().repeated
    stops_s = {}
    with checker.clients(2):
        for name in (*SERVICES, "api"):
            scene.saturate()
            service = servers.api if name == "api" else servers.services[name]
            assert service is not None
            started = time.monotonic()
            service.terminate()
            assert service.wait(timeout=60) == 0, servers.log(name)
            stops_s[name] = round(time.monotonic() - started, 1)
            if name == "api":
                servers.start_api()
            else:
                servers.start_worker(name)
                scene.wait_for(name)
    before_and_after = list(checker.accepted)[:: max(1, len(checker.accepted) // 5)]
    assert [checker.repeat(job_id) for job_id in before_and_after] == before_and_after
    checker.judge()
    repeated = checker.judge_runs().repeated - before
    record_property("stopped within s", stops_s)
    record_property("run twice", repeated)
    assert repeated <= len(SERVICES)
