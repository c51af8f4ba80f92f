"""Processes are killed at random times while a batch runs; the table is as if nothing happened."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from tests.support.answers import picture
from tests.support.chance import chance
from tests.support.polling import wait_until
from tests.support.scene import Scene, Tell, staged
from tests.support.servers import Servers
from worker.jobs.keys import key

IMAGES = 2000


@dataclass
class Classified(Scene):
    """A system, its checker, and a folder that it has classified once without any fault."""

    undisturbed_s: float = 0.0

    def during(self, job_id: str, happens: list[Callable[[], None]]) -> None:
        """Let things happen, spread over the batch by how far it is."""
        for number, happen in enumerate(happens, 1):
            self.checker.reach(job_id, IMAGES * number // (len(happens) + 1))
            happen()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classified]:
    data = tmp_path_factory.mktemp("killed") / "data"
    with staged(
        Classified,
        data,
        IMAGES,
        inject=["witness"],
        PERMAFROST_LEASE_S="3",
        PERMAFROST_SWEEP_INTERVAL_S="0.5",
    ) as found:
        started = time.monotonic()
        found.checker.finish(found.submit(), within_s=240)
        found.undisturbed_s = time.monotonic() - started
        found.checker.judge()
        assert found.checker.judge_runs().repeated == 0
        yield found


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


def at_a_random_moment(
    scene: Classified, kill: Callable[[Servers, random.Random], None], chance: random.Random
) -> Callable[[], None]:
    def happen() -> None:
        time.sleep(chance.random() / 4)  # anywhere within a micro-batch or between
        kill(scene.servers, chance)

    return happen


@pytest.mark.timeout(600)
def test_children_that_are_killed_cost_neither_an_image_nor_much_time(
    scene: Classified, record_property: Tell
) -> None:
    random_ = chance(record_property)
    before = scene.checker.runs().repeated
    started = time.monotonic()
    job_id = scene.submit()
    scene.during(job_id, [at_a_random_moment(scene, kill_worker_child, random_)] * 3)
    job = scene.checker.finish(job_id, within_s=240)
    took_s = time.monotonic() - started
    record_property("undisturbed", f"{scene.undisturbed_s:.1f} s")
    record_property("with 3 kills", f"{took_s:.1f} s")
    scene.checker.judge()
    runs = scene.checker.judge_runs()
    record_property("claims of one image at most", job["attempts"])
    record_property("run twice", runs.repeated - before)
    assert took_s <= 1.25 * scene.undisturbed_s + 30


@pytest.mark.timeout(600)
def test_killed_processes_of_all_kinds_change_nothing_in_the_table(
    scene: Classified, record_property: Tell
) -> None:
    random_ = chance(record_property)
    kinds = [kill_worker_child, kill_worker, kill_api] * 2
    random_.shuffle(kinds)
    job_id = scene.submit()
    scene.during(job_id, [at_a_random_moment(scene, kill, random_) for kill in kinds])
    scene.checker.finish(job_id, within_s=240)
    scene.checker.judge()
    scene.checker.judge_runs()


@pytest.mark.timeout(600)
def test_an_api_that_is_killed_in_an_upload_leaves_nothing_that_goes_on(scene: Classified) -> None:
    servers = scene.servers
    found: list[str] = []

    def taken_up() -> bool:
        """Whether the API has begun to take images into the batch, which it does not end."""
        with servers.store() as client:
            found[:] = [name.decode() for name in client.zrange(key("open"), 0, -1)]
        return bool(found)

    def body() -> Iterator[bytes]:
        for number in range(IMAGES):
            head = f'form-data; name="images"; filename="{number}.jpg"'
            yield f"--x\r\nContent-Disposition: {head}\r\n\r\n".encode()
            yield picture(number) + b"\r\n"
        yield b"--x--\r\n"

    def kill_meanwhile() -> None:
        # It begins once the request has arrived whole, and is done within a second or so.
        wait_until(taken_up, within_s=60, what="the API takes images", every_s=0.001)
        servers.kill(servers.api)

    with ThreadPoolExecutor(1) as beside:
        killed = beside.submit(kill_meanwhile)
        with pytest.raises(httpx.TransportError):
            httpx.post(
                f"{servers.url}/v1/batches",
                content=body(),
                headers={"Content-Type": "multipart/form-data; boundary=x"},
                timeout=60,
            )
        killed.result(timeout=60)
    (job_id,) = found
    scene.checker.others.add(job_id)
    servers.start_api()
    with servers.store() as client:
        client.zadd(key("open"), {job_id: 1})  # as if its time were over

    def given_up() -> bool:
        job = scene.checker.job(job_id)
        return bool(job and job["status"] == "failed")

    wait_until(given_up, within_s=30, what="the batch is given up")
