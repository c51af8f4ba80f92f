"""Keras 2 files of the Theano backend: kernels are stored turned around, as Theano takes them."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tf_keras

from tests.unit.freezing.saved import freeze, v1
from worker.errors import SourceError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def _as_tensorflow_2() -> None:
    v1.enable_resource_variables()
    v1.enable_control_flow_v2()


def model(k: Any, *, separable: bool = False) -> Any:
    inner = k.Sequential([k.layers.Input([6, 6, 2]), k.layers.Conv2D(3, 3, activation="relu")])
    layers: list[Any] = [
        k.layers.Input([8, 8, 3]),
        k.layers.SeparableConv2D(2, 3) if separable else k.layers.Conv2D(2, (3, 3)),
        inner,
        k.layers.Conv2DTranspose(2, 2),
        k.layers.Flatten(),
        k.layers.Dense(3, activation="softmax", name="y_pred"),
    ]
    return k.Sequential(layers)


def as_theano(path: Path, turned: bool = True) -> None:
    """Rewrite a file as Keras 2 wrote it with Theano: kernels of four dimensions turned."""

    def turn(_: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset) and found.ndim == 4:
            found[...] = found[...][::-1, ::-1]

    with h5py.File(path, "r+") as file:
        for place in (file, file["model_weights"]):
            place.attrs["backend"] = "theano"
            place.attrs["keras_version"] = "2.1.6"
        if turned:
            file["model_weights"].visititems(turn)


def test_kernels_are_turned_as_keras_2_did(tmp_path: Path) -> None:
    made = model(tf_keras)
    images = np.random.default_rng(1).uniform(0, 1, (4, 8, 8, 3)).astype(np.float32)
    expected = made.predict(images, verbose=0)
    made.save(tmp_path / "model.h5")
    as_theano(tmp_path / "model.h5")
    frozen = freeze(tmp_path / "model.h5", tmp_path)
    np.testing.assert_allclose(frozen.answers(images)[0], expected, atol=1e-6)
    assert any("Theano backend" in warning for warning in frozen.outcome["warnings"])


def test_layers_that_nobody_is_sure_of_are_refused_by_name(tmp_path: Path) -> None:
    model(tf_keras, separable=True).save(tmp_path / "model.h5")
    as_theano(tmp_path / "model.h5", turned=False)
    with pytest.raises(SourceError, match=r"Theano backend.*SeparableConv2D.*Load it with Keras"):
        freeze(tmp_path / "model.h5", tmp_path)
