"""Freezes as a client follows them: steps as they happen, cancelling, and a claim that is lost."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import psutil
import pytest

from tests.support.freezing import Freezing
from tests.support.polling import wait_until
from worker.jobs.keys import key

SOON_S = 1.0  # in which a line reaches a client, and a cancelled freeze is gone
BUSY_S = 2.0  # that a busy machine may add


@pytest.fixture(scope="module")
def freezing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Freezing]:
    # A lease that outlives what a test stops for a moment.
    scene = Freezing(tmp_path_factory.mktemp("followed") / "data", PERMAFROST_LEASE_S="30")
    try:
        scene.start()
        yield scene
    finally:
        scene.servers.remove()


def events(freezing: Freezing, job_id: str) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Yield the events of a job with the time at which each arrived."""
    url = f"{freezing.servers.url}/v1/jobs/{job_id}/events"
    with httpx.stream("GET", url, timeout=60) as stream:
        name = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: ")), time.time()


def test_steps_and_lines_are_told_as_they_happen(freezing: Freezing) -> None:
    job_id = freezing.submit("told")
    steps, lines, delays, seen_running = [], [], [], []
    for name, data, arrived in events(freezing, job_id):
        if name == "log":
            lines.append(data["line"])
            delays.append(arrived - datetime.fromisoformat(data["at"]).timestamp())
            if data["step"]:
                steps.append(data["step"])
                seen_running.append(freezing.job(job_id))
        elif name == "end":
            ended = data
    assert ended["status"] == "succeeded"
    assert [step["number"] for step in steps] == list(range(1, len(steps) + 1))
    assert {step["of"] for step in steps} == {len(steps)}
    assert (steps[0]["name"], steps[-1]["name"]) == ("starting TensorFlow", "publishing")
    assert ended["steps"] == steps
    assert ended["log"] == lines
    times = [step["at"] for step in steps]
    assert times == sorted(times)
    assert sorted(delays)[len(delays) // 2] < SOON_S
    assert max(delays) < SOON_S + BUSY_S
    # The job itself tells as much while it runs.
    first = seen_running[0]
    assert (first["status"], first["steps"][0]["number"]) == ("running", 1)


def stopped(freezing: Freezing) -> list[psutil.Process]:
    """Stop what freezes, so that it stays where it is, and return it."""
    children = freezing.wait_for_children(2)
    for child in children:
        child.suspend()
    return children


def gone(children: list[psutil.Process]) -> Callable[[], bool]:
    return lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children)


def test_cancelling_ends_a_freeze_within_a_second_and_leaves_nothing(freezing: Freezing) -> None:
    job_id = freezing.submit("cancelled")
    children = stopped(freezing)
    answer = httpx.delete(f"{freezing.servers.url}/v1/jobs/{job_id}", timeout=30)
    assert answer.json()["status"] == "cancelled"
    wait_until(gone(children), within_s=SOON_S + BUSY_S, what="its processes are gone")
    wait_until(lambda: not freezing.work_folders(), within_s=BUSY_S, what="its folder is gone")
    assert freezing.versions("cancelled") == []
    assert freezing.job(job_id)["status"] == "cancelled"
    missing = httpx.get(f"{freezing.servers.url}/v1/models/cancelled", timeout=30)
    assert missing.status_code == 404


def test_a_queued_freeze_that_is_cancelled_never_begins(freezing: Freezing) -> None:
    running = freezing.submit("first")
    waiting = freezing.submit("second")
    httpx.delete(f"{freezing.servers.url}/v1/jobs/{waiting}", timeout=30)
    assert freezing.ended(running)["status"] == "succeeded"
    assert freezing.ended(freezing.submit("third"))["status"] == "succeeded"
    assert freezing.job(waiting)["log"] == []
    assert freezing.versions("second") == []


def test_a_claim_that_is_lost_stops_the_freeze_and_another_attempt_publishes_once(
    freezing: Freezing,
) -> None:
    job_id = freezing.submit("lost")
    children = stopped(freezing)
    with freezing.servers.store() as store:
        # The newest; that of a cancelled freeze may still be there.
        claim = max(store.zrange(key("leases"), 0, -1), key=int)

        def is_taken_back() -> bool:
            # Its worker has not renewed it, as far as Redis knows.
            store.zadd(key("leases"), {claim: 1}, xx=True)
            return store.zscore(key("leases"), claim) is None

        wait_until(is_taken_back, within_s=20, what="the claim is taken back")
    wait_until(gone(children), within_s=SOON_S + BUSY_S, what="its processes are gone")
    job = freezing.ended(job_id)
    assert (job["status"], job["result"]["version"]) == ("succeeded", 1)
    assert job["attempts"] == 2
    assert freezing.versions("lost") == [1]
    assert freezing.work_folders() == []
