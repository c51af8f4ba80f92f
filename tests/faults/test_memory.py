"""Memory that runs out: of a worker process that leaks, and of Redis."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import redis

from tests.support.answers import picture
from tests.support.checker import Checker
from tests.support.folders import fill
from tests.support.polling import wait_until
from tests.support.scene import Tell
from tests.support.servers import DURABLE, Servers
from tests.support.tiny_model import publish

MIB = 1024 * 1024
IMAGES = 800
WORKERS = 2

OTHERS = [f"something-else:{number}" for number in range(15)]  # of 5 MB


@pytest.fixture
def servers(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Servers]:
    """Run the system with what the test's parameter says."""
    running = Servers(tmp_path / "data", **request.param)
    publish(running.models)
    try:
        running.start()
        yield running
    finally:
        running.remove()


LEAKING = {
    "inject": ["witness", "leaking"],
    "PERMAFROST_DEDUPLICATE": "false",
    "PERMAFROST_WORKER_MEMORY_BYTES": str(700 * MIB),
}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("servers", [LEAKING], indirect=True)
def test_a_worker_that_leaks_is_replaced_in_time_and_loses_nothing(
    servers: Servers, record_property: Tell
) -> None:
    checker = Checker(servers.url, servers.data)
    needed = max(row["memory_bytes"] for row in servers.rows())
    limit = max(700 * MIB, needed * 5 // 4)
    answers = fill(servers.folders / "many", IMAGES, side=96)
    job_id = checker.submit_folder(servers.folders / "many", answers)
    most, pids = 0, set()

    def ended() -> bool:
        nonlocal most
        for child in servers.children(servers.worker):
            try:
                most = max(most, child.memory_info().rss)
                pids.add(child.pid)
            except psutil.Error:
                continue
        job = checker.job(job_id)
        return bool(job and job["finished_at"])

    wait_until(ended, within_s=150, what="the batch ends")
    record_property("limit MiB", limit // MIB)
    record_property("most MiB", most // MIB)
    record_property("processes", len(pids))
    assert len(pids) > WORKERS, "nothing was replaced"
    # What it may have taken in the micro-batch that went beyond the limit.
    assert most < limit + 150 * MIB
    checker.judge()
    assert checker.judge_runs().repeated == 0


FULL = {"redis_options": (*DURABLE, "--maxmemory", "100mb", "--maxmemory-policy", "noeviction")}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("servers", [FULL], indirect=True)
def test_a_full_redis_refuses_uploads_and_nothing_else(
    servers: Servers, record_property: Tell
) -> None:
    checker = Checker(servers.url, servers.data)
    done = [checker.submit() for _ in range(20)]
    checker.settle(within_s=30)
    with servers.store() as client, servers.paused():
        waiting = [checker.submit() for _ in range(50)]
        refusal = upload(servers)
        assert refusal.status_code == 202
        checker.others.add(refusal.json()["id"])
        for name in OTHERS:
            client.set(name, b"x" * (5 * MIB))  # above three quarters
        wait_until(lambda: upload(servers, checker).status_code == 503, within_s=5, what="refused")
        said = upload(servers)
        assert said.status_code == 503
        assert said.json()["code"] == "overloaded"
        assert int(said.headers["Retry-After"]) > 0
        # Beyond it, also once Redis has let go of what it read the last large value into.
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 10 * MIB)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("more", "x")
        said = upload(servers)
        assert (said.status_code, said.json()["code"]) == (503, "overloaded")
        for job_id in (*done, *waiting):
            assert httpx.get(f"{servers.url}/v1/jobs/{job_id}").status_code == 200
    # Tickets cannot be sent to the workers that are there, and one that starts is not welcome.
    servers.start_worker("late", processes=1)
    wait_until(
        lambda: len({row["pid"] for row in servers.rows()}) == WORKERS + 1,
        within_s=90,
        what="a worker starts on a full Redis",
        every_s=0.2,
    )
    for job_id in (*done, *waiting):
        assert httpx.get(f"{servers.url}/v1/jobs/{job_id}").status_code == 200
    with servers.store() as client:
        client.delete(*OTHERS)
        client.config_set("maxmemory", "100mb")
    relieved = time.monotonic()
    checker.submit()
    checker.settle(within_s=30)
    wait_until(servers.ready, within_s=30, what="all workers take work")
    record_property("working after relief for s", round(time.monotonic() - relieved, 1))
    checker.judge()


def upload(servers: Servers, checker: Checker | None = None) -> httpx.Response:
    """Submit one picture once."""
    answer = httpx.post(f"{servers.url}/v1/predictions", content=picture(0), timeout=10)
    if checker and answer.status_code == 202:
        checker.others.add(answer.json()["id"])
    return answer
