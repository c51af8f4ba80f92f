"""Small Keras files and SavedModels: frozen, and served as the models answered in memory."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import keras
import numpy as np
import pytest

from tests.support.made_tutorial import CLASSES, SIDE, as_pixels, draw_photographs
from tests.support.submitting import freeze_path, freeze_upload, predict
from tests.support.system import System

# What Keras itself warns of when it saves.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def network() -> Any:
    keras.utils.set_random_seed(13)
    return keras.Sequential(
        [
            keras.layers.Input([SIDE, SIDE, 3]),
            keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(len(CLASSES), activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return draw_photographs(tmp_path_factory.mktemp("drawn") / "images")


@pytest.mark.parametrize("kind", ["keras", "h5", "saved_model"])
def test_it_is_frozen_and_answers_as_before(
    system: System, network: Any, photographs: list[Path], tmp_path: Path, kind: str
) -> None:
    name = f"made-{kind.replace('_', '-')}"
    options = {"name": name, "labels": list(CLASSES), "preprocessing": {"preset": "zero_one"}}
    if kind == "saved_model":
        network.export(str(tmp_path / name), verbose=False)
        shutil.copytree(tmp_path / name, system.data / "sources" / name)
        job = freeze_path(system.url, name, scores="probabilities", **options)
    else:
        file = tmp_path / f"network.{kind}"
        network.save(file)
        job = freeze_upload(system.url, [file], scores="probabilities", **options)
    assert job["status"] == "succeeded", job["error"]

    expected = network.predict_on_batch(np.stack([as_pixels(path) for path in photographs]))
    assert np.ptp(expected[:, 0]) > 100 * TOLERANCE  # else any photograph's answer would do
    with httpx.Client() as client:
        for path, row in zip(photographs, expected, strict=True):
            answer = predict(system.url, path.read_bytes(), client=client, model=name, top=2)
            assert answer["status"] == "succeeded", answer["error"]
            scores = {p["label"]: p["score"] for p in answer["result"]["predictions"]}
            assert scores == pytest.approx(
                {label: float(score) for label, score in zip(CLASSES, row, strict=True)},
                abs=TOLERANCE,
            )
