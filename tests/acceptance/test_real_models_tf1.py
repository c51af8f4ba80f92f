"""Models of the TensorFlow 1 world, frozen in the child process, against TensorFlow's own loaders.

Neither inputs nor outputs are named. Checkpoints are restored by the Saver of their meta graph,
SavedModels loaded by their loader, and graphs imported as they are; all answer the same random
images as the graph that was published.
"""

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from freezing.process import freeze
from tests.support.submitting import ended
from tests.support.system import ROOT, System, clean_environment
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError
from worker.models.manifest import Manifest, ModelRef
from worker.models.registry import Registry
from worker.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Array = npt.NDArray[Any]
TOLERANCE = 1e-5
CIFAR = (3, 32, 32, 3)
MOBILENET = (1, 128, 128, 3)


@pytest.fixture(scope="module")
def models(fixtures_folder: Path) -> Path:
    return fixtures_folder / "models"


class Published:
    """A version that was frozen from a source, and its graph."""

    def __init__(self, folder: Path, source: Path, **fields: Any) -> None:
        registry = Registry(folder / "models")
        (folder / "work").mkdir()
        self.result = freeze(
            FreezeRequest.parse({"name": "model", **fields}),
            source,
            workdir=folder / "work",
            registry=registry,
            job_id="job",
            settings=Settings(data=folder),
            on_log=lambda _: None,
            cancelled=lambda: False,
        )
        self.manifest: Manifest = registry.resolve(ModelRef.parse("model"))
        self.graph = registry.graph_path("model", self.manifest.version)

    def answers(self, images: Array) -> Array:
        names = self.manifest.inputs[0].name, self.manifest.outputs[0].name
        return imported(self.graph, *names, images)


def imported(path: Path, feed: str, output: str, images: Array) -> Array:
    """Answer with a graph as it is."""
    import tensorflow as tf

    v1 = tf.compat.v1
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        tf.import_graph_def(graph_def, name="")
        answer: Array = session.run(output, {feed: images})
        return answer


def restored(prefix: Path, feed: str, output: str, images: Array) -> Array:
    """Answer with a checkpoint that its own Saver restored."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.train.import_meta_graph(f"{prefix}.meta", clear_devices=True).restore(
            session, str(prefix)
        )
        answer: Array = session.run(output, {feed: images})
        return answer


def loaded(folder: Path, feed: str, output: str, images: Array) -> Array:
    """Answer with a SavedModel that TensorFlow's own loader loaded."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.saved_model.load(session, ["serve"], str(folder))
        answer: Array = session.run(output, {feed: images})
        return answer


Answer = Callable[[Path, str, str, Array], Array]


@pytest.mark.parametrize(
    ("source", "kind", "original", "answer", "ends", "shape", "fields"),
    [
        (
            *("cifar-checkpoint", "checkpoint", "cifar-checkpoint/model.ckpt", restored),
            *(("Input:0", "add_1:0"), CIFAR, {}),
        ),
        (
            *("cifar-checkpoint/frozen_model_variadic_input_shape.pb", "graph"),
            *("cifar-checkpoint/frozen_model_variadic_input_shape.pb", imported),
            *(("Input:0", "Output:0"), CIFAR, {"preprocessing": {"size": [32, 32]}}),
        ),
        (
            *("cifar-savedmodel-tf1", "saved_model", "cifar-savedmodel-tf1", loaded),
            *(("Input:0", "add_1:0"), CIFAR, {}),
        ),
        (
            *("mobilenet-frozen-batch1/retrained_graph.pb", "graph"),
            *("mobilenet-frozen-batch1/retrained_graph.pb", imported),
            *(("input:0", "final_result:0"), MOBILENET, {"preprocessing": "minus_one_one"}),
        ),
    ],
)
def test_a_model_answers_as_it_did_in_its_own_framework(
    models: Path,
    tmp_path: Path,
    source: str,
    kind: str,
    original: str,
    answer: Answer,
    ends: tuple[str, str],
    shape: tuple[int, ...],
    fields: dict[str, Any],
) -> None:
    published = Published(tmp_path, models / source, **fields)
    assert published.manifest.source["kind"] == kind
    assert published.result["verification"]["max_abs_difference"] <= TOLERANCE
    assert (published.manifest.inputs[0].name, published.manifest.outputs[0].name) == ends
    images = np.random.default_rng(5).uniform(0, 1, shape).astype(np.float32)
    expected = answer(models / original, *ends, images)
    np.testing.assert_allclose(published.answers(images), expected, atol=TOLERANCE)


def test_labels_of_the_mobilenet_come_from_its_file(models: Path, tmp_path: Path) -> None:
    """Their numbers are those of a shop's parts, and stay; one label too few says both numbers."""
    folder = models / "mobilenet-frozen-batch1"
    text = (folder / "retrained_labels.txt").read_text()
    source = folder / "retrained_graph.pb"
    published = Published(tmp_path, source, labels=text, preprocessing="minus_one_one")
    labels = published.manifest.labels
    assert labels is not None
    assert (labels[0], len(labels)) == ("61326 scratch mark", 6)
    (tmp_path / "again").mkdir()
    with pytest.raises(FreezeError, match=r"\b5 labels .*\b6 scores"):
        Published(tmp_path / "again", source, labels=text.strip().rsplit("\n", 1)[0])


def zipped(folder: Path, top: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{top}{path.relative_to(folder)}")
    return stream.getvalue()


def test_a_saved_model_in_an_archive_is_frozen_over_http(
    system: System, models: Path, tmp_path: Path
) -> None:
    content = zipped(models / "cifar-savedmodel-tf1", "cifar/1/")
    labels = "\n".join(f"{n} class {n}" for n in range(10))
    answer = httpx.post(
        f"{system.url}/v1/freezes",
        files={
            "archive": ("model.zip", content, "application/zip"),
            "labels": ("labels.txt", labels.encode(), "text/plain"),
        },
        data={"options": json.dumps({"name": "cifar"})},
        timeout=60,
    )
    assert answer.status_code == 202, answer.text
    job = ended(system.url, answer.headers["Location"])
    assert job["status"] == "succeeded", job["error"]
    version = httpx.get(f"{system.url}/v1/models/cifar/versions/1").json()
    assert version["labels"] == [f"class {n}" for n in range(10)]
    graph = tmp_path / "graph.pb"
    graph.write_bytes(httpx.get(f"{system.url}/v1/models/cifar/versions/1/graph").content)
    images = np.random.default_rng(6).uniform(0, 1, CIFAR).astype(np.float32)
    expected = loaded(models / "cifar-savedmodel-tf1", "Input:0", "add_1:0", images)
    np.testing.assert_allclose(
        imported(graph, "Input:0", "add_1:0", images), expected, atol=TOLERANCE
    )


def test_an_archive_under_a_sources_root_and_one_without_a_model(
    system: System, models: Path
) -> None:
    root = system.data / "sources"
    root.mkdir(exist_ok=True)
    shutil.make_archive(str(root / "cifar"), "gztar", models / "cifar-checkpoint")
    (root / "notes.zip").write_bytes(zipped(models / "mobilenet-frozen-batch1", "")[:3000])
    for source, status, words in (
        ("cifar.tar.gz", "succeeded", ""),
        ("notes.zip", "failed", "'notes.zip' is damaged"),
    ):
        body = {"source": source, "name": "from-archive"}
        answer = httpx.post(f"{system.url}/v1/freezes", json=body, timeout=60)
        assert answer.status_code == 202, answer.text
        job = ended(system.url, answer.headers["Location"])
        assert job["status"] == status, job["error"]
        assert words in (job["error"] or {"message": ""})["message"]


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_saved_model_is_frozen_by_the_command_line(
    system: System, models: Path, tmp_path: Path, form: str
) -> None:
    source = models / "cifar-savedmodel-tf1"
    if form == "zip":
        source = tmp_path / "cifar.zip"
        source.write_bytes(zipped(models / "cifar-savedmodel-tf1", "cifar/"))
    command = [sys.executable, "-m", "deploy", "freeze", str(source), "--name", f"cli-{form}"]
    finished = subprocess.run(
        [*command, "--signature", "serving_default", "--output", "Output", "--json"],
        cwd=ROOT,
        env=clean_environment(PERMAFROST_URL=system.url),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout)["result"]
    assert result["outputs"][0]["name"] == "add_1:0"
    assert result["verification"]["max_abs_difference"] <= TOLERANCE
