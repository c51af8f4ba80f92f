"""A tutorial's checkpoint: frozen by upload and by path, and served as it answered before.

One is made here and always tested; the tutorial's own is tested where the fixtures are.
"""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.made_tutorial import Tutorial, make_tutorial
from tests.support.polling import wait_until
from tests.support.submitting import freeze_path, freeze_upload, predict
from tests.support.system import System

TOLERANCE = 1e-4
OPTIONS: dict[str, Any] = {
    "outputs": ["y_pred"],
    "labels": ["cats", "dogs"],
    "preprocessing": {"preset": "zero_one"},
    "scores": "probabilities",
}


@pytest.fixture(scope="module", params=["made", "fixture"])
def tutorial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tutorial:
    if request.param == "made":
        return make_tutorial(tmp_path_factory.mktemp("tutorial"))
    fixtures: Path = request.getfixturevalue("fixtures_folder")
    return Tutorial(
        name="fixture",
        folder=fixtures / "tutorial-dogs-cats",
        photographs=100,
        parameters=2_126_178,
        nodes_before=401,
    )


def freeze(system: System, tutorial: Tutorial, way: str, name: str) -> dict[str, Any]:
    checkpoint = tutorial.folder / "checkpoint"
    if way == "upload":
        return freeze_upload(system.url, sorted(checkpoint.iterdir()), name=name, **OPTIONS)
    root = system.data / "sources" / name
    shutil.copytree(checkpoint, root, dirs_exist_ok=True)
    return freeze_path(system.url, f"{name}/dogs-cats-model", name=name, **OPTIONS)


@pytest.mark.parametrize("way", ["upload", "path"])
def test_it_is_frozen_to_a_third_and_answers_as_before(
    system: System, tutorial: Tutorial, way: str
) -> None:
    name = f"tutorial-{way}-{tutorial.name}"
    job = freeze(system, tutorial, way, name)
    assert job["status"] == "succeeded", job["error"]
    report = job["result"]
    assert job["model"] == {"name": name, "version": 1, "sha256": report["sha256"]}
    weights = 4 * tutorial.parameters  # bytes; the optimiser keeps two more numbers for each
    assert report["bytes_before"] == pytest.approx(3 * weights, rel=0.05)
    assert weights < report["bytes_after"] < weights * 1.005 + 10_000
    assert report["nodes_before"] == tutorial.nodes_before
    assert report["nodes_after"] <= 41
    assert report["removed"]["optimizer_slots"] > 0
    assert report["verification"]["max_abs_difference"] <= TOLERANCE
    assert report["verification"]["top1_agreement"] == 1.0
    assert report["parameters"] == tutorial.parameters
    assert sum(layer["parameters"] for layer in report["layers"]) == report["parameters"]

    rows = json.loads((tutorial.folder / "expected.json").read_text())["rows"]
    assert len(rows) == tutorial.photographs
    with httpx.Client() as client, ThreadPoolExecutor(8) as pool:

        def differ(row: dict[str, Any]) -> float:
            image = (tutorial.folder / "images" / row["path"]).read_bytes()
            answer = predict(system.url, image, client=client, model=name, top=2)
            assert answer["status"] == "succeeded", answer["error"]
            scores: dict[str, float] = {
                p["label"]: p["score"] for p in answer["result"]["predictions"]
            }
            return max(abs(float(scores[label]) - float(row[label])) for label in ("cats", "dogs"))

        worst = max(pool.map(differ, rows))
    assert worst <= TOLERANCE


def test_the_graph_that_is_downloaded_is_the_one_that_was_published(
    system: System, tutorial: Tutorial
) -> None:
    import hashlib

    job = freeze(system, tutorial, "upload", f"downloaded-{tutorial.name}")
    name = job["model"]["name"]
    graph = httpx.get(f"{system.url}/v1/models/{name}/versions/stable/graph")
    assert hashlib.sha256(graph.content).hexdigest() == job["result"]["sha256"]
    assert len(graph.content) == job["result"]["bytes_after"]


def test_the_same_in_onnx_runtime_is_tried_as_canary_and_rolled_out_and_back(
    system: System, tutorial: Tutorial
) -> None:
    files = sorted((tutorial.folder / "checkpoint").iterdir())
    name = f"both-{tutorial.name}"
    freeze_upload(system.url, files, name=name, **OPTIONS)
    job = freeze_upload(
        system.url, files, name=name, **OPTIONS, alias="canary", runtime="onnxruntime"
    )
    assert job["status"] == "succeeded", job["error"]
    made = job["result"]["accelerated"]
    assert made["verification"]["max_abs_difference"] <= TOLERANCE
    models = f"{system.url}/v1/models/{name}"
    assert httpx.get(models).json()["aliases"] == {"stable": 1, "canary": 2}
    manifest = httpx.get(f"{models}/versions/canary").json()
    assert (manifest["runtime"], manifest["accelerated"]["bytes"]) == ("onnxruntime", made["bytes"])

    photographs = sorted((tutorial.folder / "images").rglob("*.jpg"))[::10]
    for path in photographs:
        answers = [
            predict(system.url, path.read_bytes(), model=f"{name}@{alias}")
            for alias in ("stable", "canary")
        ]
        assert [answer["model"]["version"] for answer in answers] == [1, 2]
        old, new = (
            {row["label"]: row["score"] for row in answer["result"]["predictions"]}
            for answer in answers
        )
        assert new == pytest.approx(old, abs=1e-5)

    def both_loaded() -> bool:
        loaded = {
            (graph["version"], graph["runtime"])
            for row in httpx.get(f"{system.url}/v1/workers").json()["workers"]
            for graph in row["graphs"]
            if graph["model"] == name and graph["state"] == "ready"
        }
        return loaded == {(1, "tensorflow"), (2, "onnxruntime")}

    wait_until(both_loaded, within_s=20, what="workers report both runtimes")

    def stable() -> int:
        answer = predict(system.url, photographs[0].read_bytes(), model=name)
        return int(answer["model"]["version"])

    for version in (2, 1):
        moved = httpx.put(f"{models}/aliases/stable", json={"version": version})
        assert moved.status_code == 200, moved.text
        assert stable() == version
    assert httpx.delete(f"{models}/versions/2").json()["code"] == "conflict"  # canary means it


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outputs": ["y_prid"]}, ["y_prid", "y_pred"]),
        ({"labels": ["cats", "dogs", "birds"]}, ["3", "2"]),
        ({"set": {"keep_prop": 1.0}}, ["keep_prop"]),
    ],
)
def test_a_wrong_option_is_a_failed_job_with_a_sentence_that_says_which(
    system: System, tutorial: Tutorial, change: dict[str, Any], words: list[str]
) -> None:
    files = sorted((tutorial.folder / "checkpoint").iterdir())
    job = freeze_upload(system.url, files, **{"name": "wrong", **OPTIONS, **change})
    assert job["status"] == "failed"
    for word in words:
        assert word in job["error"]["message"]
    assert httpx.get(f"{system.url}/v1/models/wrong").status_code == 404


def test_a_missing_data_file_is_named(system: System, tutorial: Tutorial) -> None:
    files = [p for p in (tutorial.folder / "checkpoint").iterdir() if ".data-" not in p.name]
    job = freeze_upload(system.url, files, name="incomplete", **OPTIONS)
    assert job["status"] == "failed"
    assert "dogs-cats-model.data-00000-of-00001" in job["error"]["message"]


def test_a_prefix_that_is_not_there_is_answered_with_the_nearest(
    system: System, tutorial: Tutorial
) -> None:
    shutil.copytree(
        tutorial.folder / "checkpoint",
        system.data / "sources" / f"nearest-{tutorial.name}",
        dirs_exist_ok=True,
    )
    job = freeze_path(
        system.url, f"nearest-{tutorial.name}/dogs-cat-model", name="nearest", **OPTIONS
    )
    assert job["status"] == "failed"
    assert f"nearest-{tutorial.name}/dogs-cats-model" in job["error"]["message"]
