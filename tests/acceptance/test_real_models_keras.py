"""Keras models and TensorFlow 2 SavedModels, frozen and served over HTTP, against Keras itself."""

import io
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from freezing.process import freeze
from tests.support.submitting import ended, freeze_path, predict
from tests.support.system import System
from worker.contract.source_requests import FreezeRequest
from worker.models.registry import Registry
from worker.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

TOLERANCE = 1e-4
LABELS = ["cat", "dog", "fox"]


def _upload(system: System, root: Path, **options: Any) -> dict[str, Any]:
    """Upload a file, or a folder with its relative paths, and return the ended job."""
    files = [root] if root.is_file() else [path for path in root.rglob("*") if path.is_file()]
    with ExitStack() as stack:
        parts = [
            (
                "files",
                (
                    path.name if path == root else str(path.relative_to(root)),
                    stack.enter_context(path.open("rb")),
                ),
            )
            for path in files
        ]
        answer = httpx.post(
            f"{system.url}/v1/freezes",
            files=parts,
            data={"options": json.dumps(options)},
            timeout=60,
        )
    assert answer.status_code == 202, answer.text
    return ended(system.url, answer.headers["Location"])


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _scores(system: System, name: str, pixels: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Return what the service answers to an image of these pixels."""
    with httpx.Client() as client:
        job = predict(system.url, _png(pixels), client=client, model=name, top=3)
    assert job["status"] == "succeeded", job["error"]
    return {one["label"]: one["score"] for one in job["result"]["predictions"]}


@pytest.fixture(scope="module")
def gender(fixtures_folder: Path) -> Path:
    return next((fixtures_folder / "models" / "gender-keras2-h5").glob("*.hdf5"))


def test_a_keras_2_file_of_2017_answers_as_keras_2_does(system: System, gender: Path) -> None:
    job = _upload(
        system,
        gender,
        name="gender",
        labels=["woman", "man"],
        preprocessing={"preset": "minus_one_one"},
    )
    assert job["status"] == "succeeded", job["error"]
    result = job["result"]
    assert (result["inputs"][0]["name"], result["outputs"][0]["name"]) == (
        "input_1:0",
        "predictions:0",
    )
    assert result["verification"]["max_abs_difference"] <= TOLERANCE

    import tf_keras

    model = tf_keras.models.load_model(gender, compile=False)
    random = np.random.default_rng(8)
    for _ in range(5):
        coarse = random.integers(0, 256, [8, 8], np.uint8)
        pixels = np.kron(coarse, np.ones([8, 8], np.uint8))
        ready = (pixels[np.newaxis, :, :, np.newaxis] / 255 - 0.5) * 2
        expected = model.predict(ready.astype(np.float32), verbose=0)[0]
        scores = _scores(system, "gender", pixels)
        found = [scores["woman"], scores["man"]]
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.fixture(scope="module")
def keras_model() -> Any:
    """A small network that scales its pixels itself."""
    import keras

    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            keras.layers.Input([16, 16, 3], name="photo"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax", name="kind"),
        ]
    )


@pytest.fixture(scope="module", params=["keras", "h5", "saved_model"])
def saved(
    request: pytest.FixtureRequest, keras_model: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    path = folder / f"pets.{request.param}"
    if request.param == "saved_model":
        keras_model.export(path, verbose=False)
    else:
        keras_model.save(path)
    return path


def test_an_upload_needs_neither_names_nor_preprocessing(
    system: System, saved: Path, keras_model: Any
) -> None:
    name = f"pets-{saved.suffix[1:].replace('_', '-')}"
    job = _upload(system, saved, name=name, labels=LABELS)
    assert job["status"] == "succeeded", job["error"]
    basis = job["result"]["basis"]
    assert basis["fields"]["scaling"] == "read"
    assert any("values from 0 to 255" in reason for reason in basis["reasons"])
    pixels = np.random.default_rng(9).integers(0, 256, [16, 16, 3], np.uint8)
    expected = keras_model(pixels[np.newaxis].astype(np.float32), training=False).numpy()[0]
    scores = _scores(system, name, pixels)
    np.testing.assert_allclose([scores[label] for label in LABELS], expected, atol=TOLERANCE)


def test_a_file_with_code_is_refused_by_its_layer(system: System, tmp_path: Path) -> None:
    import keras

    layers = [
        keras.layers.Input([4, 4, 3]),
        keras.layers.Lambda(lambda x: x * 2.0, name="double"),
        keras.layers.Flatten(),
    ]
    keras.Sequential(layers).save(tmp_path / "code.keras")
    job = _upload(system, tmp_path / "code.keras", name="code")
    assert job["status"] == "failed"
    assert job["error"]["code"] == "unsafe_source"
    assert "'double' is a Lambda" in job["error"]["message"]
    assert "PERMAFROST_ALLOW_KERAS_CODE" in job["error"]["message"]


def test_an_operator_can_allow_code(tmp_path: Path) -> None:
    import keras

    layers = [
        keras.layers.Input([4, 4, 3]),
        keras.layers.Lambda(lambda x: x * 2.0, name="double"),
        keras.layers.Flatten(),
        keras.layers.Dense(2, activation="softmax"),
    ]
    keras.Sequential(layers).save(tmp_path / "code.keras")
    (tmp_path / "work").mkdir()
    result = freeze(
        FreezeRequest.parse({"name": "code"}),
        tmp_path / "code.keras",
        workdir=tmp_path / "work",
        registry=Registry(tmp_path / "models"),
        job_id="job-1",
        settings=Settings(data=tmp_path, allow_keras_code=True),
        on_log=lambda _: None,
        cancelled=lambda: False,
    )
    assert any("'double' is a Lambda" in warning for warning in result["warnings"])
    assert result["verification"]["max_abs_difference"] <= TOLERANCE


def test_weights_alone_are_a_failed_job_that_says_so(system: System, keras_model: Any) -> None:
    path = system.data / "sources" / "pets.weights.h5"
    path.parent.mkdir(exist_ok=True)
    keras_model.save_weights(path)
    job = freeze_path(system.url, path.name, name="weights")
    assert job["status"] == "failed"
    assert "holds only the weights" in job["error"]["message"]
