"""A worker process stands still past its lease, or its clock jumps; the other goes on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.checker import Checker
from tests.support.folders import fill
from tests.support.jumping import JumpingClock
from tests.support.polling import wait_until
from tests.support.scene import Scene, Tell
from tests.support.servers import Servers
from tests.support.tiny_model import publish
from worker.jobs.keys import key

IMAGES = 1000
STEADY, ODD = "steady", "odd"


@dataclass
class Jumping(Scene):
    """A system of two services of one process each; the clock of one of them can jump."""

    clock: JumpingClock

    def child(self, name: str) -> psutil.Process:
        """Return the one process of a service that classifies."""
        (child,) = self.servers.children(self.servers.services[name])
        return child

    def items_done(self, name: str) -> int:
        """Return how many items a service says that it has done."""
        pid = self.child(name).pid
        return sum(row["items"] for row in self.servers.rows() if row["pid"] == pid)

    def wait_for_work(self, name: str, done: int) -> None:
        """Wait until a service says that it has done more."""
        wait_until(lambda: self.items_done(name) > done, within_s=30, what=f"{name} works")

    def hours_ahead(self, name: str) -> float:
        """Return how far ahead of Redis's a service's clock was when it started."""
        pid = self.child(name).pid
        (row,) = (row for row in self.servers.rows() if row["pid"] == pid)
        seen, started = (datetime.fromisoformat(row[at]) for at in ("seen_at", "started_at"))
        return (started - seen).total_seconds() / 3600

    def claim_of(self, name: str) -> tuple[str, set[str]] | None:
        """Return the claim that a service's process holds, with its items."""
        pid = self.child(name).pid
        with self.servers.store() as store:
            for number in store.zrange(key("leases"), 0, -1):
                fields = {
                    f.decode(): v for f, v in store.hgetall(key("claim", number.decode())).items()
                }
                if f"-{pid}-" in fields.get("@worker", b"").decode():
                    items = {name for name in fields if not name.startswith("@")}
                    return number.decode(), {item for item in items if not item.endswith(":0")}
        return None

    def holds(self, number: str) -> bool:
        """Whether a claim stands."""
        with self.servers.store() as store:
            return bool(store.exists(key("claim", number)))

    def table(self, job_id: str) -> str:
        """Return all that is said of a batch."""
        job = self.checker.job(job_id)
        assert job is not None
        rows = httpx.get(f"{self.servers.url}{job['links']['results']}", timeout=30).text
        totals = [
            line
            for line in httpx.get(f"{self.servers.url}/metrics", timeout=30).text.splitlines()
            if line.startswith("permafrost_jobs_total")
        ]
        return "\n".join([json.dumps(job), rows, *totals])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jumping]:
    folder: Path = tmp_path_factory.mktemp("stopped")
    servers = Servers(
        folder / "data",
        workers=1,
        services=[STEADY],
        inject=["witness"],
        PERMAFROST_LEASE_S="3",
        PERMAFROST_SWEEP_INTERVAL_S="0.5",
    )
    clock = JumpingClock(folder / "clock")
    try:
        publish(servers.models)
        answers = fill(servers.folders / "many", IMAGES)
        clock.set(1.0)
        servers.start_worker(ODD, environment=clock.environment)
        servers.start()
        yield Jumping(servers, Checker(servers.url, servers.data), answers, clock)
    finally:
        servers.remove()


@pytest.mark.timeout(300)
def test_a_worker_that_comes_back_after_its_lease_is_refused_and_leaves_no_trace(
    scene: Jumping, record_property: Tell
) -> None:
    checker = scene.checker
    stopped = scene.child(ODD)
    job_id = scene.submit()
    checker.reach(job_id, 1)

    def stopped_in_a_claim() -> tuple[str, set[str]] | None:
        nonlocal job_id
        if checker.done(job_id) > IMAGES // 2:
            checker.finish(job_id, within_s=120)
            job_id = scene.submit()
            checker.reach(job_id, 1)
        stopped.suspend()
        held = scene.claim_of(ODD)
        if not held or not held[1]:
            stopped.resume()
            return None
        return held

    try:
        held = wait_until(stopped_in_a_claim, within_s=60, what="it is stopped at work")
        assert held is not None
        number, items = held
        wait_until(lambda: not scene.holds(number), within_s=20, what="the claim is taken back")
        checker.finish(job_id, within_s=120)
        before = scene.table(job_id)
    finally:
        stopped.resume()
    wait_until(
        lambda: items <= checker.runs().refused.keys(), within_s=30, what="what it did is refused"
    )
    assert scene.table(job_id) == before
    checker.judge()
    checker.judge_runs()
    record_property("images refused", len(items))


@pytest.mark.timeout(300)
def test_a_clock_that_jumps_by_hours_neither_repeats_nor_stops_anything(
    scene: Jumping, record_property: Tell
) -> None:
    checker = scene.checker
    repeated = checker.runs().repeated
    assert scene.hours_ahead(ODD) == pytest.approx(1.0, abs=0.1), "it did not start an hour ahead"
    with checker.clients(2):
        for hours in (-1.0, 1.0, 0.0):
            scene.clock.set(hours)
            job_id, done = scene.submit(), scene.items_done(ODD)
            checker.finish(job_id, within_s=120)
            scene.wait_for_work(ODD, done)
    checker.judge()
    record_property("run twice", checker.judge_runs().repeated - repeated)
    assert checker.judge_runs().repeated == repeated
