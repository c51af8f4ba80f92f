"""Models that loop or swell cost nobody but themselves: not others' service, not a worker's memory.

One worker process serves a good model. Bad ones are put into its registry by hand, as they may lie
there since before there were limits.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support import bright_model, greedy_models
from tests.support.api import photograph
from tests.support.polling import wait_until
from tests.support.servers import Servers
from worker.models.registry import Registry

MIB = 2**20
RUN_MIB = 256  # that a run may take
SERVED_S = 10.0  # within which a good model answers, whatever bad ones do
MOST_BYTES = 1500 * MIB  # of a worker process; the models want from 400 MiB to 1 TiB

# What is set aside before it is served, and why.
KINDS = {
    "loops": ("timed_out", "an input of zeros"),
    "loops_on_black": ("timed_out", "an input of zeros"),
    "loops_on_white": ("timed_out", "a white picture"),
    "swells": ("out_of_memory", "an input of zeros"),
    "swells_in_a_loop": ("out_of_memory", "an input of zeros"),
    "swells_when_loaded": ("out_of_memory", "loading it"),
}
# What no trial can know, because it is about particular pictures.
ON_RED = {"loops_on_red": "timed_out", "swells_on_red": "out_of_memory"}


class Scene:
    """The system and its models."""

    def __init__(self, data: Path) -> None:
        self.servers = Servers(
            data,
            workers=1,
            PERMAFROST_LOAD_TIME_LIMIT_S="4",
            PERMAFROST_HANG_TIME_S="1.5",
            PERMAFROST_RUN_MEMORY_BYTES=str(RUN_MIB * MIB),
        )
        registry, folder = Registry(self.servers.models), data.parent
        bright_model.publish(registry, folder, name="good")
        for kind in (*KINDS, *ON_RED, "swells_with_its_batch"):
            bright_model.publish(registry, folder, getattr(greedy_models, kind), name=kind)
        self.most_bytes = 0

    def predict(self, model: str, color: str = "teal", wait_s: int = 30) -> dict[str, Any]:
        """Return a prediction's job once it has ended, or the refusal."""
        url = f"{self.servers.url}/v1/predictions?model={model}&wait={wait_s}"
        image = photograph(color=color)
        answer = httpx.post(url, content=image, timeout=wait_s + 30)
        body: dict[str, Any] = answer.json()
        while answer.status_code == 202:
            url = f"{self.servers.url}/v1/jobs/{body['id']}?wait={wait_s}"
            answer = httpx.get(url, timeout=wait_s + 30)
            body = answer.json()
            if body["status"] not in ("queued", "running"):
                break
        return body

    def good(self, answered: Any = None) -> Any:
        """Have the good model answer in time, and as it always does."""
        started = time.monotonic()
        job = self.predict("good")
        assert job["status"] == "succeeded", job
        assert time.monotonic() - started < SERVED_S
        assert answered in (None, job["result"])
        self._measure()
        return job["result"]

    def versions(self) -> dict[str, dict[str, Any]]:
        """Return the first version of each model as the registry shows it."""
        models = httpx.get(f"{self.servers.url}/v1/models", timeout=30).json()["models"]
        return {model["name"]: model["versions"][0] for model in models}

    def set_aside(self) -> dict[str, Any]:
        """Return why each version that is set aside is."""
        found = self.versions()
        return {name: row["set_aside"] for name, row in found.items() if row["set_aside"]}

    def _measure(self) -> None:
        for child in self.servers.children(self.servers.worker):
            try:
                self.most_bytes = max(self.most_bytes, child.memory_info().rss)
            except psutil.Error:
                continue


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("limits") / "data")
    try:
        made.servers.start()
        yield made
    finally:
        made.servers.remove()


@pytest.mark.timeout(240)
def test_what_goes_beyond_its_limits_is_set_aside_while_others_are_served(scene: Scene) -> None:
    answered = scene.good()

    def all_set_aside() -> bool:
        scene.good(answered)
        return set(scene.set_aside()) >= set(KINDS)

    wait_until(all_set_aside, within_s=120, what="all bad models are set aside")
    found = scene.set_aside()
    assert set(found) == set(KINDS)
    for kind, (code, where) in KINDS.items():
        assert found[kind]["code"] == code, found[kind]
        assert where in found[kind]["reason"], found[kind]
        refused = scene.predict(kind)
        assert (refused["status"], refused["code"]) == (409, "model_set_aside")
        assert f"./permafrost models {kind} --try-again 1" in refused["detail"]
    ready = httpx.get(f"{scene.servers.url}/readyz", timeout=30)
    assert (ready.status_code, ready.json()["models"]["good"]) == (200, "ready")
    assert "set aside" in ready.json()["models"]["loops"]
    states = {row["model"]: row["state"] for row in scene.servers.rows()[0]["graphs"]}
    assert {states[kind] for kind in KINDS} == {"set_aside"}
    scene.good(answered)
    assert scene.most_bytes < MOST_BYTES


@pytest.mark.timeout(240)
def test_a_model_that_needs_much_for_many_pictures_is_run_with_fewer(scene: Scene) -> None:
    def proven() -> bool:
        return bool(scene.servers.store().hexists("permafrost:proven", "swells_with_its_batch@1"))

    wait_until(proven, within_s=60, what="it was tried")
    batch = [("images", (f"{n}.png", photograph(), "image/png")) for n in range(64)]
    url = f"{scene.servers.url}/v1/batches?model=swells_with_its_batch&wait=30"
    job = httpx.post(url, files=batch, timeout=60).json()

    def done() -> Any:
        found = httpx.get(f"{scene.servers.url}/v1/jobs/{job['id']}?wait=10", timeout=60).json()
        return found if found["status"] not in ("queued", "running") else None

    ended = wait_until(done, within_s=90, what="the batch ends")
    assert ended["progress"]["succeeded"] == 64, ended
    scene.good()
    assert scene.most_bytes < MOST_BYTES


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ON_RED)
def test_pictures_that_a_model_loops_or_swells_on_cannot_stop_others(
    scene: Scene, kind: str
) -> None:
    answered, teal = scene.good(), scene.predict(kind)
    assert teal["status"] == "succeeded", teal
    codes = []
    for _ in range(6):  # fewer are enough
        red = scene.predict(kind, "red")
        scene.good(answered)
        if red.get("code") == "model_set_aside":
            break
        codes.append(red["error"]["code"])
    assert codes, "the first picture must have been run"
    assert set(codes) <= {ON_RED[kind], "model_set_aside"}, codes
    found = scene.set_aside()[kind]
    assert (found["code"], "within an hour" in found["reason"]) == (ON_RED[kind], True)
    assert scene.most_bytes < MOST_BYTES


@pytest.mark.timeout(240)
def test_after_a_restart_nothing_is_tried_again_and_good_models_are_served_at_once(
    scene: Scene,
) -> None:
    before = scene.set_aside()
    scene.servers.kill(scene.servers.worker)
    scene.servers.start_worker()
    wait_until(scene.servers.ready, within_s=60, what="the worker is ready again")
    scene.good()
    assert scene.set_aside() == before


@pytest.mark.timeout(240)
def test_what_redis_forgot_is_found_again_while_good_models_are_served(scene: Scene) -> None:
    scene.servers.kill(scene.servers.worker)
    scene.servers.store().delete("permafrost:aside", "permafrost:proven")
    scene.servers.start_worker()
    wait_until(scene.servers.ready, within_s=60, what="the worker is ready again")

    def found_again() -> bool:
        scene.good()
        return set(scene.set_aside()) >= set(KINDS)

    wait_until(found_again, within_s=120, what="all bad models are set aside again")


@pytest.mark.timeout(120)
def test_a_version_can_be_tried_again_and_retired_by_force(scene: Scene) -> None:
    version = f"{scene.servers.url}/v1/models/loops/versions/1"
    since = scene.set_aside()["loops"]["at"]
    assert httpx.delete(f"{version}/set-aside", timeout=30).status_code == 200

    def tried_again() -> bool:
        found = scene.set_aside().get("loops")
        return found is not None and found["at"] != since

    wait_until(tried_again, within_s=60, what="it was tried again")
    refused = httpx.delete(version, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    answer = httpx.delete(f"{version}?force=true", timeout=30)
    assert (answer.status_code, answer.json()["moved"]) == (200, {"stable": None})
    assert scene.predict("loops@1")["status"] == 404
    scene.good()
