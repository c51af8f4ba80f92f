"""Versions as SavedModels: downloaded, loaded by TensorFlow in both of its ways, and compared."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import redis
import tensorflow as tf
from flask.testing import FlaskClient

from tests.support.api import assert_problem, web_client
from worker.models.manifest import Manifest, ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry
from worker.settings import Settings

v1 = tf.compat.v1
PATH = "/v1/models/pets/versions/1/savedmodel"
IMAGES = np.random.default_rng(1).random((3, 4, 4, 3), np.float32)


def _graph() -> bytes:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 4, 4, 3], name="images")
        flat = tf.reshape(x, [-1, 48])
        random = np.random.default_rng(2)
        weights = random.normal(size=(48, 2)).astype(np.float32)
        logits = tf.identity(tf.matmul(flat, weights), name="dense/logits")
        tf.nn.softmax(logits, name="y")
        tf.split(logits, 2, axis=1, name="halves")
        tf.argmax(logits, axis=1, name="best")
    content: bytes = graph.as_graph_def().SerializeToString()
    return content


OUTPUTS = [
    Tensor(name="y:0", shape=[None, 2], dtype="float32"),
    Tensor(name="dense/logits:0", shape=None, dtype="float32"),
    Tensor(name="halves:1", shape=[None, 1], dtype="float32"),
    Tensor(name="best:0", shape=[None], dtype="int64"),
]


@pytest.fixture
def manifest(settings: Settings, tmp_path: Path) -> Manifest:
    path = tmp_path / "graph.pb"
    path.write_bytes(_graph())
    draft = ManifestDraft(
        name="pets",
        inputs=[Tensor(name="images:0", shape=[None, 4, 4, 3], dtype="float32")],
        outputs=OUTPUTS,
        labels=["cat", "Hündin"],
        preprocessing=Preprocessing(size=(4, 4)),
    )
    return Registry(settings.models_folder).publish(draft, path)


@pytest.fixture
def web(manifest: Manifest, settings: Settings, client: redis.Redis) -> Iterator[FlaskClient]:
    with web_client(settings) as web:
        yield web


@pytest.fixture
def unpacked(web: FlaskClient, tmp_path: Path) -> Path:
    with web.get(PATH) as answer:
        assert answer.status_code == 200
        content = answer.data
        assert answer.content_length == len(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path / "serving")
    return tmp_path / "serving" / "pets" / "1"


@pytest.fixture
def expected() -> dict[str, npt.NDArray[Any]]:
    """Return what the frozen graph itself answers, by the names of the signature."""
    names = {"y": "y:0", "dense/logits": "dense/logits:0", "halves_1": "halves:1", "best": "best:0"}
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        tf.import_graph_def(v1.GraphDef.FromString(_graph()), name="")
        found: dict[str, npt.NDArray[Any]] = session.run(names, {"images:0": IMAGES})
        return found


def test_tensorflow_2_loads_it_and_it_answers_as_the_frozen_graph(
    unpacked: Path, expected: dict[str, npt.NDArray[Any]]
) -> None:
    loaded = tf.saved_model.load(str(unpacked))
    answers = loaded.signatures["serving_default"](images=tf.constant(IMAGES))
    assert set(answers) == set(expected)
    for name, answer in answers.items():
        np.testing.assert_array_equal(answer.numpy(), expected[name])


def test_the_loader_of_tensorflow_1_and_of_serving_loads_it(
    unpacked: Path, expected: dict[str, npt.NDArray[Any]]
) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        meta_graph = v1.saved_model.loader.load(session, ["serve"], str(unpacked))
        signature = meta_graph.signature_def["serving_default"]
        assert signature.method_name == "tensorflow/serving/predict"
        names = {key: tensor.name for key, tensor in signature.outputs.items()}
        answers = session.run(names, {signature.inputs["images"].name: IMAGES})
    for name, answer in answers.items():
        np.testing.assert_array_equal(answer, expected[name])


def test_its_signature_says_shapes_and_types(unpacked: Path) -> None:
    shown = subprocess.run(
        [
            *(sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "show"),
            *("--dir", str(unpacked), "--tag_set", "serve", "--signature_def", "serving_default"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    text = " ".join(shown.stdout.split())
    for words in (
        "inputs['images'] tensor_info: dtype: DT_FLOAT shape: (-1, 4, 4, 3) name: images:0",
        "outputs['y'] tensor_info: dtype: DT_FLOAT shape: (-1, 2) name: y:0",
        "outputs['dense/logits'] tensor_info: dtype: DT_FLOAT shape: unknown_rank",
        "outputs['halves_1'] tensor_info: dtype: DT_FLOAT shape: (-1, 1) name: halves:1",
        "outputs['best'] tensor_info: dtype: DT_INT64 shape: (-1) name: best:0",
        "Method name is: tensorflow/serving/predict",
    ):
        assert words in text


def test_labels_and_manifest_lie_where_loaders_leave_them_alone(
    unpacked: Path, manifest: Manifest
) -> None:
    extra = unpacked / "assets.extra"
    assert (extra / "labels.txt").read_text() == "cat\nHündin\n"
    assert Manifest.model_validate(json.loads((extra / "manifest.json").read_text())) == manifest
    assert (unpacked / "variables").is_dir()


def test_it_is_not_sent_again_to_who_has_it(web: FlaskClient) -> None:
    with web.head(PATH) as first:
        assert first.mimetype == "application/zip"
        assert "pets-1-savedmodel.zip" in first.headers["Content-Disposition"]
        etag = first.headers["ETag"]
    with web.get(PATH, headers={"If-None-Match": etag}) as again:
        assert (again.status_code, again.data) == (304, b"")
    with web.get(PATH) as one, web.get(PATH) as two:
        assert one.data == two.data


def test_a_version_that_was_published_before_there_were_runtimes_has_one_too(
    web: FlaskClient, settings: Settings, tmp_path: Path
) -> None:
    path = settings.models_folder / "pets" / "1" / "manifest.json"
    fields = json.loads(path.read_text())
    del fields["runtime"], fields["accelerated"]
    path.write_text(json.dumps(fields))
    with web.get(PATH) as answer:
        assert answer.status_code == 200
        assert zipfile.ZipFile(io.BytesIO(answer.data)).testzip() is None


def test_what_cannot_be_given_is_said(
    web: FlaskClient, settings: Settings, manifest: Manifest
) -> None:
    assert_problem(web.get("/v1/models/pets/versions/2/savedmodel"), 404, "model_not_found")
    graph = settings.models_folder / "pets" / "1" / "graph.pb"
    graph.write_bytes(graph.read_bytes() + b"more")
    body = assert_problem(web.get(PATH), 503, "model_unavailable")
    assert "was changed since it was published" in body["detail"]
    graph.unlink()
    assert "gone from disk" in assert_problem(web.get(PATH), 404, "model_not_found")["detail"]
