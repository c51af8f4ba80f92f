"""A model is published again and again while it is used: nothing fails, no answer is mixed.

Every version's answer says which version it is, so each answer can be compared with the version
that its job says it was accepted for.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.support import marked_model
from tests.support.answers import picture
from tests.support.polling import wait_until
from tests.support.scene import Tell
from tests.support.servers import Servers
from tests.support.submitting import ENDED
from worker.models.generation import announce_change
from worker.models.manifest import Runtime
from worker.models.registry import Registry

VERSIONS = 50
CLIENTS = 4
RUNTIMES: list[Runtime] = ["tensorflow", "tensorflow", "onnxruntime"]  # in turns
MOST_GROWTH = 90 * 2**20  # bytes of one process over 38 versions of 4 MB; some are freed late


@dataclass
class Load:
    """Clients that send pictures one after another, and what they were answered."""

    url: str
    used: Counter[int] = field(default_factory=Counter)  # answers by version
    wrong: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send meanwhile."""
        threads = [threading.Thread(target=self._send, args=(n,)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def go_on(self) -> None:
        """Wait until every client has been answered, more or less."""
        enough = self.used.total() + 2 * CLIENTS
        wait_until(lambda: self.used.total() >= enough, within_s=60, what="clients are answered")

    def _send(self, client_number: int) -> None:
        number = 0
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self._over.is_set():
                number += 50  # none of the damaged ones
                try:
                    job = predict(client, picture(number + client_number))
                    version, fault = int(job["model"]["version"]), judged(job)
                except Exception as error:  # whatever it is, the test must show it
                    version, fault = 0, repr(error)
                with self._lock:
                    self.used[version] += 1
                    if fault:
                        self.wrong.append(fault)


def predict(client: httpx.Client, image: bytes, model: str = "marked") -> dict[str, Any]:
    """Classify one image and return its ended job."""
    headers = {"Prefer": "wait=30", "Content-Type": "image/jpeg"}
    answer = client.post(f"/v1/predictions?model={model}", content=image, headers=headers)
    assert answer.status_code in (200, 202), f"{answer.status_code}: {answer.text}"
    return ended(client, answer.json())


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    while job["status"] not in ENDED:
        job = client.get(f"/v1/jobs/{job['id']}?wait=10").json()
    return job


def judged(job: dict[str, Any]) -> str | None:
    """Return what is wrong with a job, or None."""
    if job["status"] != "succeeded":
        return f"{job['id']} {job['status']}: {job['error']}"
    version = job["model"]["version"]
    scores = {row["label"]: row["score"] for row in job["result"]["predictions"]}
    if scores["mark"] != pytest.approx(marked_model.score(version), abs=1e-7):
        return f"{job['id']} is of version {version}, but was answered {scores}"
    return None


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(
        tmp_path_factory.mktemp("republish") / "data",
        PERMAFROST_GRAPH_MEMORY_BYTES=str(16 * 2**20),
    )
    try:
        marked_model.publish(Registry(running.models), "marked", 1)
        running.start()
        yield running
    finally:
        running.remove()


def memory(servers: Servers) -> dict[int, int]:
    """Return the resident bytes of each worker process, by its id."""
    return {child.pid: child.memory_info().rss for child in servers.children(servers.worker)}


def test_a_model_is_published_again_and_again_under_load(
    servers: Servers, record_property: Tell
) -> None:
    registry, load = Registry(servers.models), Load(servers.url)
    sizes: dict[int, dict[int, int]] = {}  # of the worker processes, by version
    with servers.store() as store, load.running(), httpx.Client(base_url=servers.url) as client:
        for version in range(2, VERSIONS + 1):
            runtime = RUNTIMES[version % len(RUNTIMES)]
            marked_model.publish(registry, "marked", version, runtime)
            announce_change(store)
            # Whoever submits from now on gets the new version ...
            job = predict(client, picture(0))
            assert (job["model"]["version"], judged(job)) == (version, None)
            if version % 5 == 0:
                # ... unless it is rolled back, and the new one retired.
                aliases = client.put("/v1/models/marked/aliases/stable", json={"version": 1})
                assert aliases.status_code == 200, aliases.text
                assert predict(client, picture(0))["model"]["version"] == 1
                retired = client.delete(f"/v1/models/marked/versions/{version}")
                assert retired.status_code == 200, retired.text
            load.go_on()
            sizes[version] = memory(servers)
    assert not load.wrong, load.wrong[:5]
    assert set(load.used) <= set(range(1, VERSIONS + 1))
    assert len(load.used) > VERSIONS / 2
    assert load.used.total() > VERSIONS * CLIENTS
    pids = sizes[2].keys()
    assert all(found.keys() == pids for found in sizes.values()), "a process was replaced"
    # The least of several: while a version takes another's place, both are there.
    early, late = (
        {pid: min(sizes[version][pid] for version in versions) for pid in pids}
        for versions in (range(6, 13), range(44, VERSIONS + 1))
    )
    growth = max(late[pid] - early[pid] for pid in pids)
    record_property("predictions", load.used.total())
    record_property("growth of a process in MB over 38 versions", round(growth / 1e6, 1))
    assert growth < MOST_GROWTH


def test_a_batch_ends_on_the_version_it_was_accepted_for(servers: Servers) -> None:
    registry = Registry(servers.models)
    with servers.store() as store, httpx.Client(base_url=servers.url, timeout=30) as client:
        first = VERSIONS + 1
        marked_model.publish(registry, "marked", first)
        announce_change(store)
        opened = client.post("/v1/batches", json={"open": True, "model": "marked"}).json()
        add(client, opened["id"], range(40))
        marked_model.publish(registry, "marked", first + 1)
        announce_change(store)
        assert client.delete(f"/v1/models/marked/versions/{first}").status_code == 200
        gone = client.post("/v1/batches", json={"open": True, "model": f"marked@{first}"})
        assert (gone.status_code, gone.json()["code"]) == (404, "model_not_found")
        add(client, opened["id"], range(50, 90))
        client.post(f"/v1/batches/{opened['id']}/seal")
        job = ended(client, opened)
        rows = client.get(f"/v1/batches/{opened['id']}/results?format=jsonl").text.splitlines()
    assert (job["status"], job["progress"]["failed"]) == ("succeeded", 0)
    assert job["model"]["version"] == first
    assert len(rows) == 80
    for row in map(json.loads, rows):
        scores = {found["label"]: found["score"] for found in row["predictions"]}
        assert row["version"] == first
        assert scores["mark"] == pytest.approx(marked_model.score(first), abs=1e-7)


def add(client: httpx.Client, batch: str, numbers: range) -> None:
    files = [
        ("images", (f"{number}.jpg", picture(number), "image/jpeg"))
        for number in numbers
        if number % 50 != 49
    ]
    answer = client.post(f"/v1/batches/{batch}/images", files=files)
    assert answer.status_code == 200, answer.text
