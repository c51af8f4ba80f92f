"""A freeze with examples, and what a model answers otherwise, as clients see them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from api.client import Client
from freezing.proving.compare import compare as in_this_process
from freezing.running.orders import ComparisonOrder, Serving
from freezing.running.steps import Report
from tests.support.orders import bounds
from tests.support.system import System
from worker.contract.freezes import FreezeResult
from worker.contract.jobs import FreezeJob
from worker.errors import ExamplesError
from worker.models.manifest import Manifest
from worker.settings import Settings

COLORS = {
    "blue": (80, 110, 200),
    "dark": (35, 30, 35),
    "dim": (75, 75, 75),
    "red": (200, 90, 80),
    "yellow": (200, 190, 60),
}
SIDE = 8


def network() -> bytes:
    """Return a graph that tells pictures by their colours, fed as OpenCV's, from -1 to 1."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="x")
        means = tf.reduce_mean(x, axis=[1, 2])
        known = np.array([color[::-1] for color in COLORS.values()], np.float32) / 127.5 - 1
        far = tf.reduce_sum(tf.square(tf.expand_dims(means, 1) - known), axis=2)
        tf.nn.softmax(-20.0 * far, name="y")
    content: bytes = graph.as_graph_def().SerializeToString()
    return content


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of four pictures for each label, none of the network's size."""
    folder = tmp_path_factory.mktemp("examples")
    random = np.random.default_rng(7)
    for label, color in COLORS.items():
        (folder / label).mkdir()
        for number in range(4):
            noise = random.normal(color, 25, size=(11, 13, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[Client]:
    with Client(system.url) as client:
        yield client


@pytest.fixture(scope="module")
def frozen(client: Client, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> FreezeJob:
    """Freeze with the examples, and return the job that has succeeded."""
    model = tmp_path_factory.mktemp("model") / "model.pb"
    model.write_bytes(network())
    return client.wait(client.freeze(model, name="colours", examples=pictures))


def _result(job: FreezeJob) -> FreezeResult:
    assert job.result is not None
    return job.result


def test_examples_prove_how_images_are_prepared(client: Client, frozen: FreezeJob) -> None:
    result = _result(frozen)
    assert result.basis is not None
    assert (result.basis.kind, result.basis.alternatives) == ("proven", [])
    prepared = result.preprocessing
    assert prepared is not None
    assert (prepared.color, prepared.scale, prepared.mean) == ("bgr", 1 / 127.5, [1.0])
    assert any("has no labels" in warning for warning in result.warnings)
    assert not any("is assumed" in warning for warning in result.warnings)
    proof = result.examples
    assert proof is not None
    assert (proof.clear, proof.examples, proof.labels) == (True, 20, 5)
    assert proof.after is not None
    assert (proof.before.right, proof.after.right) == (20, 20)
    assert proof.after.log_likelihood == pytest.approx(proof.before.log_likelihood, abs=1e-4)
    taken = next(one for one in proof.candidates if one.taken)
    assert (taken.preprocessing.preset, taken.preprocessing.color) == ("minus_one_one", "bgr")
    assert any("20 of 20 examples are right" in line for line in frozen.log or [])
    (version,) = client.model("colours").versions
    assert version.basis is not None
    assert version.basis.kind == "proven"
    assert version.labels == list(COLORS)  # of the folders: the model has none


def test_a_comparison_shows_every_way_and_what_to_type(
    client: Client, frozen: FreezeJob, pictures: Path, tmp_path: Path
) -> None:
    red, dark = pictures / "red" / "0.png", pictures / "dark" / "1.png"
    job = client.wait(client.compare("colours", [red, dark], top=1))
    assert (job.model.name, job.model.sha256) == ("colours", _result(frozen).sha256)
    found = job.result
    assert found is not None
    assert (found.model, found.version, found.images) == ("colours", 1, ["0.png", "1.png"])
    served, *others = found.ways
    assert served.served
    assert [answers[0].label for answers in served.answers] == ["red", "dark"]
    assert not any(way.served for way in others)
    other = next(way for way in others if way.called.startswith("values from -1 to 1, RGB"))
    assert other.answers[0][0].label == "blue"
    assert other.command == (
        "./permafrost models colours@1 --preprocessing "
        """'{"preset": "minus_one_one", "color": "rgb"}'"""
    )


def test_an_image_that_cannot_be_read_is_named(pictures: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes((pictures / "red" / "0.png").read_bytes()[:60])
    manifest = Manifest.model_validate(
        {
            "name": "m",
            "inputs": [{"name": "x:0", "shape": [None, SIDE, SIDE, 3], "dtype": "float32"}],
            "outputs": [{"name": "y:0", "shape": [None, 5], "dtype": "float32"}],
            "preprocessing": {"size": [SIDE, SIDE]},
            "version": 1,
            "sha256": "0" * 64,
            "bytes": 1,
            "created_at": "2026-11-30T00:00:00Z",
        }
    )
    order = ComparisonOrder(
        manifest=manifest,
        source=tmp_path / "graph.pb",
        bounds=bounds(tmp_path),
        samples=(broken,),
        top=1,
        most_pixels=10**6,
        serving=Serving.model_validate(Settings()),
    )
    with pytest.raises(ExamplesError, match=r"'broken\.png'"):
        in_this_process(Report(lambda _: None), order)
