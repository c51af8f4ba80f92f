"""The tutorial's own checkpoint: frozen by upload and by path, and served as it answered before."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

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


@pytest.fixture(scope="module")
def tutorial(fixtures_folder: Path) -> Path:
    return fixtures_folder / "tutorial-dogs-cats"


def freeze(system: System, tutorial: Path, way: str, name: str) -> dict[str, Any]:
    checkpoint = tutorial / "checkpoint"
    if way == "upload":
        return freeze_upload(system.url, sorted(checkpoint.iterdir()), name=name, **OPTIONS)
    root = system.data / "sources" / name
    shutil.copytree(checkpoint, root, dirs_exist_ok=True)
    return freeze_path(system.url, f"{name}/dogs-cats-model", name=name, **OPTIONS)


@pytest.mark.parametrize("way", ["upload", "path"])
def test_it_is_frozen_to_a_third_and_answers_as_before(
    system: System, tutorial: Path, way: str
) -> None:
    name = f"tutorial-{way}"
    job = freeze(system, tutorial, way, name)
    assert job["status"] == "succeeded", job["error"]
    report = job["result"]
    assert job["model"] == {"name": name, "version": 1, "sha256": report["sha256"]}
    assert report["bytes_before"] == pytest.approx(25.6e6, rel=0.01)
    assert report["bytes_after"] < 8.55e6  # 2,126,178 parameters of 4 bytes are 8.505e6
    assert report["nodes_before"] == 401
    assert report["nodes_after"] <= 41
    assert report["removed"]["optimizer_slots"] > 0
    assert report["verification"]["max_abs_difference"] <= TOLERANCE
    assert report["verification"]["top1_agreement"] == 1.0
    assert sum(layer["parameters"] for layer in report["layers"]) == report["parameters"]

    rows = json.loads((tutorial / "expected.json").read_text())["rows"]
    assert len(rows) == 100
    with httpx.Client() as client, ThreadPoolExecutor(8) as pool:

        def differ(row: dict[str, Any]) -> float:
            image = (tutorial / "images" / row["path"]).read_bytes()
            answer = predict(system.url, image, client=client, model=name, top=2)
            assert answer["status"] == "succeeded", answer["error"]
            scores: dict[str, float] = {
                p["label"]: p["score"] for p in answer["result"]["predictions"]
            }
            return max(abs(float(scores[label]) - float(row[label])) for label in ("cats", "dogs"))

        worst = max(pool.map(differ, rows))
    assert worst <= TOLERANCE


def test_the_graph_that_is_downloaded_is_the_one_that_was_published(
    system: System, tutorial: Path
) -> None:
    import hashlib

    job = freeze(system, tutorial, "upload", "downloaded")
    graph = httpx.get(f"{system.url}/v1/models/downloaded/versions/stable/graph")
    assert hashlib.sha256(graph.content).hexdigest() == job["result"]["sha256"]
    assert len(graph.content) == job["result"]["bytes_after"]


def test_the_same_in_onnx_runtime_is_tried_as_canary_and_rolled_out_and_back(
    system: System, tutorial: Path
) -> None:
    files = sorted((tutorial / "checkpoint").iterdir())
    freeze_upload(system.url, files, name="both", **OPTIONS)
    job = freeze_upload(
        system.url, files, name="both", **OPTIONS, alias="canary", runtime="onnxruntime"
    )
    assert job["status"] == "succeeded", job["error"]
    made = job["result"]["accelerated"]
    assert made["verification"]["max_abs_difference"] <= TOLERANCE
    models = f"{system.url}/v1/models/both"
    assert httpx.get(models).json()["aliases"] == {"stable": 1, "canary": 2}
    manifest = httpx.get(f"{models}/versions/canary").json()
    assert (manifest["runtime"], manifest["accelerated"]["bytes"]) == ("onnxruntime", made["bytes"])

    photographs = sorted((tutorial / "images").rglob("*.jpg"))[::10]
    for path in photographs:
        answers = [
            predict(system.url, path.read_bytes(), model=f"both@{alias}")
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
            if graph["model"] == "both" and graph["state"] == "ready"
        }
        return loaded == {(1, "tensorflow"), (2, "onnxruntime")}

    wait_until(both_loaded, within_s=20, what="workers report both runtimes")

    def stable() -> int:
        answer = predict(system.url, photographs[0].read_bytes(), model="both")
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
    system: System, tutorial: Path, change: dict[str, Any], words: list[str]
) -> None:
    files = sorted((tutorial / "checkpoint").iterdir())
    job = freeze_upload(system.url, files, **{"name": "wrong", **OPTIONS, **change})
    assert job["status"] == "failed"
    for word in words:
        assert word in job["error"]["message"]
    assert httpx.get(f"{system.url}/v1/models/wrong").status_code == 404


def test_a_missing_data_file_is_named(system: System, tutorial: Path) -> None:
    files = [p for p in (tutorial / "checkpoint").iterdir() if ".data-" not in p.name]
    job = freeze_upload(system.url, files, name="incomplete", **OPTIONS)
    assert job["status"] == "failed"
    assert "dogs-cats-model.data-00000-of-00001" in job["error"]["message"]


def test_a_prefix_that_is_not_there_is_answered_with_the_nearest(
    system: System, tutorial: Path
) -> None:
    shutil.copytree(
        tutorial / "checkpoint", system.data / "sources" / "nearest", dirs_exist_ok=True
    )
    job = freeze_path(system.url, "nearest/dogs-cat-model", name="nearest", **OPTIONS)
    assert job["status"] == "failed"
    assert "nearest/dogs-cats-model" in job["error"]["message"]
