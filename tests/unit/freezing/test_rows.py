"""What is answered for an image must not change with the images beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_keras.src.legacy_tf_layers.normalization import batch_normalization

from freezing.choosing.statistics import NoMovingAveragesError
from freezing.inspecting.inspection import look_into
from freezing.sources.averages import NoAveragesError
from freezing.sources.opening import open_source
from freezing.verifying.single_images import RowsNotIndependentError
from tests.unit.freezing.networks import dense, flat, image_placeholder, v1
from tests.unit.freezing.saved import Frozen, freeze, save
from worker.contract.source_requests import InspectionRequest

pytestmark = pytest.mark.filterwarnings("ignore:`tf.layers.batch_normalization` is deprecated")
Build = Callable[[], None]


def end(hidden: Any) -> None:
    tf.nn.softmax(dense(flat(hidden), 4, "dense"), name="y_pred")


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def told(frozen: Frozen, text: str) -> bool:
    return any(text in warning for warning in frozen.outcome["warnings"])


def influence(frozen: Frozen) -> float:
    """How far the answers of the graph that was written move with the images beside them."""
    images = np.random.default_rng(2).random((5, 8, 8, 3), np.float32)
    together = frozen.answers(images)[0]
    alone = np.concatenate([frozen.answers(images[number : number + 1])[0] for number in range(5)])
    return float(np.abs(together - alone).max())


# -- batch normalisation in training mode, with moving averages ----------------------------------


def layers(**options: Any) -> Build:
    return lambda: end(batch_normalization(image_placeholder(), training=True, **options))


def by_hand() -> None:
    """`ema.average()` of `tf.nn.moments`, updated on the way to the answer."""
    x = image_placeholder()
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    with v1.control_dependencies([v1.train.ExponentialMovingAverage(0.5).apply([mean, variance])]):
        mean, variance = tf.identity(mean), tf.identity(variance)
    end(tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3))


def without_bias() -> None:
    """As slim has it with `zero_debias_moving_mean` and its updates on the way."""
    from tensorflow.python.training.moving_averages import (
        assign_moving_average,
    )

    x = image_placeholder()
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    kept = [v1.get_variable(name, [3], trainable=False) for name in ("mean", "variance")]
    updates = [
        assign_moving_average(kept[0], mean, 0.9, zero_debias=True),
        assign_moving_average(kept[1], variance, 0.9, zero_debias=False),
    ]
    with v1.control_dependencies(updates):
        mean, variance = tf.identity(mean), tf.identity(variance)
    end(tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3))


@pytest.mark.parametrize(
    ("build", "kept", "resource_variables"),
    [
        (layers(), "batch_normalization/moving_{}", False),
        (layers(fused=False), "batch_normalization/moving_{}", True),
        (by_hand, "moments/Squeeze{}/ExponentialMovingAverage", False),
        (without_bias, "{}", True),
    ],
)
def test_the_moving_averages_of_a_training_graph_are_taken(
    tmp_path: Path, build: Build, kept: str, resource_variables: bool
) -> None:
    saved = save(tmp_path / "source", build, resource_variables=resource_variables)
    frozen = freeze(saved.folder, tmp_path)
    assert told(frozen, "moving averages that training kept")
    assert frozen.outcome["batch"] == {"source": None, "served": None}
    assert influence(frozen) < 1e-5
    reader = tf.train.load_checkpoint(str(saved.prefix))
    names = ("", "_1") if "Squeeze" in kept else ("mean", "variance")
    mean, variance = (reader.get_tensor(kept.format(name)) for name in names)
    hidden = (saved.images - mean) / np.sqrt(variance + 1e-3)
    if reader.has_tensor("batch_normalization/gamma"):
        gamma, beta = (reader.get_tensor(f"batch_normalization/{n}") for n in ("gamma", "beta"))
        hidden = hidden * gamma + beta
    logits = hidden.reshape(-1, 192) @ reader.get_tensor("dense/weights")
    right = softmax(logits + reader.get_tensor("dense/biases"))
    np.testing.assert_allclose(frozen.answers(saved.images)[0], right, atol=1e-5)


def test_someone_can_have_the_statistics_of_each_image(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", layers())
    frozen = freeze(saved.folder, tmp_path, statistics="image")
    assert told(frozen, "--statistics moving")
    assert frozen.outcome["batch"] == {"source": None, "served": 1}
    assert frozen.outcome["inputs"][0]["shape"] == [1, 8, 8, 3]


def test_averages_that_training_never_moved_are_not_taken(tmp_path: Path) -> None:
    def build() -> None:
        x = image_placeholder()
        kept = [
            v1.get_variable(name, [3], tf.float64, initializer=value, trainable=False)
            for name, value in (
                ("mean", v1.zeros_initializer()),
                ("variance", v1.ones_initializer()),
            )
        ]
        new = tf.nn.moments(x, [0, 1, 2])
        for one, moment in zip(kept, new, strict=True):
            v1.assign_sub(one, (one - tf.cast(moment, tf.float64)) * 0.1)
        end(tf.nn.batch_normalization(x, *new, None, None, 1e-3))

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert frozen.outcome["batch"]["served"] == 1


# -- what is served one image at a time, and what is not -----------------------------------------


def in_batch_attention() -> None:
    x = flat(image_placeholder())
    end(tf.nn.softmax(tf.matmul(x, x, transpose_b=True)) @ (x * x))


def frozen_batch_norm() -> None:
    x = image_placeholder()
    ones, zeros = tf.ones([3]), tf.zeros([3])
    end(v1.nn.fused_batch_norm(x, ones, zeros, is_training=True)[0])


def mean_of_rows() -> None:
    """One row for all images: scores, of which there are as many as samples."""
    scores = tf.nn.softmax(dense(flat(image_placeholder()), 8, "dense"))
    tf.reduce_mean(scores, axis=0, name="y_pred")


@pytest.mark.parametrize("build", [in_batch_attention, frozen_batch_norm, mean_of_rows])
def test_what_mixes_images_is_served_one_at_a_time(tmp_path: Path, build: Build) -> None:
    frozen = freeze(save(tmp_path / "source", build).folder, tmp_path)
    assert frozen.outcome["batch"]["served"] == 1
    assert frozen.outcome["inputs"][0]["shape"] == [1, 8, 8, 3]


def softmax_over_images() -> None:
    tf.nn.softmax(dense(flat(image_placeholder()), 4, "dense"), axis=0, name="y_pred")


def dense_batch_norm() -> None:
    x = flat(image_placeholder())
    mean, variance = tf.nn.moments(x, [0])
    end(tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3))


@pytest.mark.parametrize("build", [softmax_over_images, dense_batch_norm])
def test_what_answers_nothing_alone_is_refused(tmp_path: Path, build: Build) -> None:
    saved = save(tmp_path / "source", build)
    with pytest.raises(RowsNotIndependentError, match="alone every image gets the same answer"):
        freeze(saved.folder, tmp_path)


def test_a_switch_that_is_on_by_default_is_named(tmp_path: Path) -> None:
    def build() -> None:
        is_training = v1.placeholder_with_default(True, [], name="is_training")
        x = image_placeholder()
        mean = v1.get_variable("mean", [3])
        used = v1.cond(is_training, lambda: tf.reduce_mean(x, [0, 1, 2]), lambda: mean + 0.0)
        end(x - used)

    saved = save(tmp_path / "source", build)
    with pytest.raises(RowsNotIndependentError, match="Set --set is_training=false"):
        freeze(saved.folder, tmp_path)
    assert influence(freeze(saved.folder, tmp_path, set={"is_training": False})) < 1e-5


def per_image() -> None:
    """Instance and group normalisation, and one that is fused over each image."""
    x = image_placeholder()
    mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
    hidden = (x - mean) / tf.sqrt(variance + 1e-3)
    mean, variance = tf.nn.moments(hidden, [1, 2, 3], keepdims=True)
    hidden = tf.reshape((hidden - mean) / tf.sqrt(variance + 1e-3), [1, -1, 192, 1])
    count = tf.shape(x)[:1]
    fused = v1.nn.fused_batch_norm(
        tf.transpose(hidden, [0, 2, 3, 1]), tf.ones(count), tf.zeros(count), is_training=True
    )[0]
    end(tf.transpose(fused, [0, 3, 1, 2]))


def renormalised() -> None:
    """Corrected by its averages, which takes out what came of the batch."""
    end(batch_normalization(image_placeholder(), training=True, renorm=True))


@pytest.mark.parametrize("build", [per_image, renormalised])
def test_what_does_not_mix_images_is_left_as_it_is(tmp_path: Path, build: Build) -> None:
    frozen = freeze(save(tmp_path / "source", build).folder, tmp_path)
    assert frozen.outcome["batch"] == {"source": None, "served": None}
    assert not told(frozen, "statistics of the batch")


# -- moving averages of the weights ---------------------------------------------------------------


def with_averages(names: tuple[str, ...], called: str) -> Build:
    def build() -> None:
        logits = dense(flat(image_placeholder()), 4, "dense")
        tf.nn.softmax(logits, name="y_pred")
        kept = [one for one in v1.trainable_variables() if one.op.name.rpartition("/")[2] in names]
        if kept:
            v1.train.ExponentialMovingAverage(0.9, name=called).apply(kept)

    return build


@pytest.mark.parametrize("called", ["ExponentialMovingAverage", "Shadow"])
def test_averages_of_the_weights_are_named_and_taken_if_asked_for(
    tmp_path: Path, called: str
) -> None:
    saved = save(tmp_path / "source", with_averages(("weights", "biases"), called))
    if called == "Shadow":
        plain = freeze(saved.folder, tmp_path)
        assert told(plain, "moving averages of all 2 weights")
        assert told(plain, "(--averages)")
        np.testing.assert_allclose(plain.answers(saved.images)[0], saved.expected["y_pred:0"])
    reader = tf.train.load_checkpoint(str(saved.prefix))
    weights, biases = (reader.get_tensor(f"dense/{n}/{called}") for n in ("weights", "biases"))
    averaged = freeze(saved.folder, tmp_path, averages=True)
    assert told(averaged, "averages of all 2 weights were taken")
    right = softmax(saved.images.reshape(-1, 192) @ weights + biases)
    np.testing.assert_allclose(averaged.answers(saved.images)[0], right, atol=1e-5)
    found = look_into(open_source(saved.folder), InspectionRequest.parse({}))
    assert found.freeze.body["averages"] is True
    assert found.freeze.command.endswith("--averages")


def test_weights_without_an_average_are_named(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", with_averages(("weights",), "ExponentialMovingAverage"))
    frozen = freeze(saved.folder, tmp_path, averages=True)
    assert told(frozen, "1 of 2 weights (not of dense/biases)")


def test_averages_that_are_not_there_are_refused(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", with_averages((), "ExponentialMovingAverage"))
    with pytest.raises(NoAveragesError, match="leave `averages` out"):
        freeze(saved.folder, tmp_path, averages=True)
    with pytest.raises(NoMovingAveragesError, match="leave `statistics` out"):
        freeze(saved.folder, tmp_path, statistics="moving")
