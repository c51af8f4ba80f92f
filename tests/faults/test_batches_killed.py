"""Processes are killed at random times while a batch runs; the table is as if nothing happened."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.pictures import jpeg
from tests.support.polling import wait_until
from tests.support.servers import Servers
from tests.support.tiny_model import publish

IMAGES = 2000
BAD = {b"0000007.jpg", b"0001500.jpg"}  # names of images that cannot be read
KILLS = 6

Table = list[dict[str, Any]]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    running = Servers(tmp_path / "data", PERMAFROST_LEASE_S="3", PERMAFROST_SWEEP_INTERVAL_S="0.5")
    publish(running.models)
    folder = running.folders / "many"
    folder.mkdir()
    for number in range(IMAGES):
        name = f"{number:07}.jpg"
        bad = name.encode() in BAD
        # Large enough to take a few milliseconds each, so that kills meet a batch that runs.
        content = b"damaged" if bad else jpeg(number % 256, side=500, mark=number)
        (folder / name).write_bytes(content)
    try:
        running.start()
        yield running
    finally:
        running.remove()


def submit(servers: Servers) -> str:
    answer = httpx.post(f"{servers.url}/v1/batches", json={"folder": "many"}, timeout=30)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


def read(servers: Servers, location: str) -> dict[str, Any] | None:
    try:
        answer = httpx.get(f"{servers.url}{location}", timeout=10)
    except httpx.TransportError:
        return None
    return answer.json() if answer.status_code == 200 else None


def table(servers: Servers, location: str) -> tuple[dict[str, Any], Table]:
    """Return the ended job and its rows."""

    def look() -> dict[str, Any] | None:
        job = read(servers, location)
        return job if job and job["status"] not in ("queued", "running") else None

    job = wait_until(look, within_s=240, what="the batch ends", every_s=0.2)
    assert job is not None
    lines = httpx.get(f"{servers.url}{job['links']['results']}", timeout=60).text.splitlines()
    return job, [json.loads(line) for line in lines]


def without_scores(row: dict[str, Any]) -> dict[str, Any]:
    # How many images TensorFlow gets at once decides the last bit of a score.
    labels = [prediction["label"] for prediction in row["predictions"] or ()]
    return {**row, "score": None, "predictions": labels}


def scores(rows: Table) -> list[float]:
    return [prediction["score"] for row in rows for prediction in row["predictions"] or ()]


def check(job: dict[str, Any], rows: Table, undisturbed: Table) -> None:
    assert job["status"] == "succeeded", job
    assert [row["path"] for row in rows] == [f"{number:07}.jpg" for number in range(IMAGES)]
    assert [without_scores(row) for row in rows] == [without_scores(row) for row in undisturbed]
    assert scores(rows) == pytest.approx(scores(undisturbed), abs=1e-6)
    assert job["progress"]["succeeded"] == IMAGES - len(BAD)
    assert job["progress"]["failed"] == len(BAD)
    assert sum(job["result"]["labels"].values()) == IMAGES - len(BAD)


def kill_worker_child(servers: Servers, chance: random.Random) -> None:
    children = servers.children(servers.worker)
    if children:
        chance.choice(children).kill()


def kill_worker(servers: Servers, chance: random.Random) -> None:
    servers.kill(servers.worker)
    servers.start_worker()


def kill_api(servers: Servers, chance: random.Random) -> None:
    servers.kill(servers.api)
    servers.start_api()


def kill_redis(servers: Servers, chance: random.Random) -> None:
    time.sleep(1.1)  # what was written in the last second may be lost with `everysec`
    servers.redis.kill()
    servers.redis.start()


def during(servers: Servers, location: str, happens: list[Callable[[], None]]) -> None:
    """Let things happen, spread over the batch by how far it is."""
    for number, happen in enumerate(happens, 1):
        share = IMAGES * number // (len(happens) + 1)

        def reached(share: int = share) -> bool:
            job = read(servers, location)
            done = job["progress"]["succeeded"] + job["progress"]["failed"] if job else 0
            return done >= share

        wait_until(reached, within_s=120, what=f"{share} images are done", every_s=0.02)
        happen()


@pytest.mark.timeout(600)
def test_killed_processes_change_nothing_in_the_table(servers: Servers) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    _, undisturbed = table(servers, submit(servers))

    kinds = [kill_worker_child, kill_worker, kill_api] * (KILLS // 3)
    chance.shuffle(kinds)
    location = submit(servers)

    def happens(kill: Callable[[Servers, random.Random], None]) -> Callable[[], None]:
        def happen() -> None:
            time.sleep(chance.random() / 2)  # anywhere within a micro-batch or between
            kill(servers, chance)

        return happen

    during(servers, location, [happens(kill) for kill in kinds])
    job, rows = table(servers, location)
    check(job, rows, undisturbed)


@pytest.mark.timeout(600)
def test_a_redis_that_is_killed_and_started_again_changes_nothing(servers: Servers) -> None:
    _, undisturbed = table(servers, submit(servers))
    location = submit(servers)
    during(servers, location, [lambda: kill_redis(servers, random.Random(0))])
    job, rows = table(servers, location)
    check(job, rows, undisturbed)


@pytest.mark.timeout(600)
def test_an_api_that_is_killed_in_an_upload_leaves_nothing_that_goes_on(servers: Servers) -> None:
    started = threading.Event()

    def body() -> Iterator[bytes]:
        for number in range(IMAGES):
            head = f'form-data; name="images"; filename="{number}.jpg"'
            yield f"--x\r\nContent-Disposition: {head}\r\n\r\n".encode()
            yield jpeg(number % 256, side=200, mark=number) + b"\r\n"
            if number == IMAGES // 2:
                servers.kill(servers.api)
                started.set()

    with pytest.raises(httpx.TransportError):
        httpx.post(
            f"{servers.url}/v1/batches",
            content=body(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
            timeout=60,
        )
    assert started.is_set()
    servers.start_api()
    (job,) = httpx.get(f"{servers.url}/v1/jobs?kind=batch").json()["jobs"]
    import redis

    from worker.jobs.keys import key

    with redis.Redis.from_url(servers.redis.url) as client:
        client.zadd(key("open"), {job["id"]: 1})  # as if its time were over

    def given_up() -> bool:
        found = read(servers, f"/v1/jobs/{job['id']}")
        return bool(found and found["status"] == "failed")

    wait_until(given_up, within_s=30, what="the batch is given up")
