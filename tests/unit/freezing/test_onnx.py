"""The accelerated form: converted, proven in ONNX Runtime, or refused with the op's name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.accelerate import NotConvertibleError
from tests.unit.freezing import networks
from tests.unit.freezing.saved import freeze, save
from worker.errors import VerificationError
from worker.inference.onnx_session import OnnxSession
from worker.models.manifest import Tensor
from worker.settings import Settings

v1 = tf.compat.v1


def convolution() -> None:
    """Two outputs behind a convolution, pooling and a softmax."""
    x = networks.image_placeholder()
    kernel = v1.get_variable("kernel", [3, 3, 3, 4])
    hidden = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")), 2, 2, "VALID")
    logits = networks.dense(tf.reshape(hidden, [-1, 4 * 4 * 4]), 4, "dense")
    tf.nn.softmax(logits, name="y_pred")
    tf.identity(hidden, name="hidden")


def of_three() -> None:
    x = networks.image_placeholder(batch=3)
    tf.nn.softmax(networks.dense(networks.flat(x), 4, "dense"), name="y_pred")


def of_bytes() -> None:
    x = tf.cast(networks.image_placeholder(tf.uint8), tf.float32) / 255
    tf.nn.softmax(networks.dense(networks.flat(x), 4, "dense"), name="y_pred")


@pytest.mark.parametrize(
    ("network", "outputs"),
    [
        (convolution, ["y_pred", "hidden"]),
        (networks.plain, ["y_pred"]),
        (of_three, ["y_pred"]),
        (of_bytes, ["y_pred"]),
    ],
)
def test_onnx_runtime_answers_as_the_checkpoint_did(
    tmp_path: Path, network: Callable[[], None], outputs: list[str]
) -> None:
    saved = save(tmp_path / "source", network, outputs=tuple(f"{name}:0" for name in outputs))
    frozen = freeze(saved.folder, tmp_path, outputs=outputs, runtime="onnxruntime")
    made = frozen.outcome["accelerated"]
    content = (tmp_path / "graph.onnx").read_bytes()
    assert (frozen.outcome["runtime"], made["bytes"]) == ("onnxruntime", len(content))
    assert made["verification"]["samples"] == 8
    assert made["verification"]["max_abs_difference"] < 1e-5
    source = Tensor(**frozen.outcome["inputs"][0])
    session = OnnxSession(lambda: content, source, [f"{name}:0" for name in outputs], Settings())
    assert np.dtype(session.dtype).name == source.dtype
    for found, expected in zip(session.run(saved.images), saved.expected.values(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_being_asked_nothing_is_converted(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.plain)
    frozen = freeze(saved.folder, tmp_path)
    assert (frozen.outcome["runtime"], frozen.outcome["accelerated"]) == ("tensorflow", None)
    assert not (tmp_path / "graph.onnx").exists()


def test_an_op_that_onnx_does_not_have_is_named(tmp_path: Path) -> None:
    def network() -> None:
        x = networks.flat(networks.image_placeholder())
        tf.nn.softmax(networks.dense(tf.math.lgamma(x + 1), 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", network)
    with pytest.raises(NotConvertibleError, match=r"the op Lgamma\. .*--runtime tensorflow") as no:
        freeze(saved.folder, tmp_path, runtime="onnxruntime")
    assert no.value.code == "not_convertible"


def test_a_conversion_that_answers_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = OnnxSession.run

    def wrong(session: OnnxSession, batch: Any) -> list[Any]:
        return [found + 0.01 for found in answer(session, batch)]

    saved = save(tmp_path / "source", networks.plain)
    monkeypatch.setattr(OnnxSession, "run", wrong)
    with pytest.raises(VerificationError, match=r"Converted to ONNX: .*y_pred:0.* by up to 0.01"):
        freeze(saved.folder, tmp_path, runtime="onnxruntime")
