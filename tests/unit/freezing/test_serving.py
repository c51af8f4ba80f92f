"""What a version is for: images that become its input, scores that are its answer, or neither."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tests.unit.freezing import networks
from tests.unit.freezing.saved import Frozen, assert_same_answers, freeze, save
from worker.errors import FreezeError
from worker.models.assumptions import aspects
from worker.models.basis import Basis
from worker.models.preprocessing import Preprocessing

v1 = tf.compat.v1


def tabular(shape: Any, dtype: Any = tf.float32, width: int = 13) -> Callable[[], None]:
    """A regression of `width` features, whatever the placeholder says of its shape."""

    def build() -> None:
        x = v1.placeholder(dtype, shape, name="x")
        rows = tf.reshape(tf.cast(x, tf.float32), [-1, width])
        y = networks.dense(rows, 1, "dense")
        tf.identity(y, name="y_pred")

    return build


def vector(shape: Any, dtype: Any = tf.float32) -> Callable[[], None]:
    """One number in, one number out."""

    def build() -> None:
        x = v1.placeholder(dtype, shape, name="x")
        tf.add(tf.cast(x, tf.float32) * v1.get_variable("w", []), 2.0, name="y_pred")

    return build


def words() -> None:
    """Sentences of any length, as places in a table of ten words."""
    x = v1.placeholder(tf.int32, [None, None], name="x")
    table = v1.get_variable("table", [10, 4])
    tf.nn.softmax(networks.dense(tf.reduce_mean(tf.gather(table, x), 1), 3, "dense"), name="y_pred")


def open_side() -> None:
    """Only thirteen features fit the weights, but the placeholder does not say so."""
    x = v1.placeholder(tf.float32, [None, None], name="x")
    weights = v1.get_variable("weights", [13, 1])
    tf.matmul(x, weights, name="y_pred")


def downloadable(frozen: Frozen) -> bool:
    """Whether it was frozen to be downloaded only, and says so."""
    said = [text for text in frozen.outcome["warnings"] if "predictions are refused" in text]
    return frozen.outcome["preprocessing"] is None and len(said) == 1


@pytest.mark.parametrize(
    ("build", "fed"),
    [
        (tabular([None, 13]), (3, 13)),
        (tabular([None, 13], tf.bool), (3, 13)),
        (tabular([None, 13], tf.int64), (3, 13)),
        (tabular([1, 13]), (1, 13)),
        (open_side, (3, 13)),
        (vector(None), (5,)),
        (vector([None]), (5,)),
        (vector([1]), (1,)),
        (vector([]), ()),
        (vector(None, tf.float16), (5,)),
        (words, (3, 6)),
    ],
)
def test_a_model_that_takes_no_images_is_frozen_verified_and_said_to_be_one(
    tmp_path: Path, build: Callable[[], None], fed: tuple[int, ...]
) -> None:
    saved = save(tmp_path / "source", build, fed_shape=fed)
    frozen = freeze(saved.folder, tmp_path)
    assert downloadable(frozen)
    assert frozen.outcome["scores"] is None
    assert_same_answers(saved, frozen)


def test_labels_of_a_model_that_takes_no_images_are_counted(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", words, fed_shape=(3, 6))
    assert downloadable(freeze(saved.folder, tmp_path, labels=list("abc")))
    with pytest.raises(FreezeError, match=r"2 labels.* 3 scores"):
        freeze(saved.folder, tmp_path, labels=list("ab"))


def test_what_is_said_of_preprocessing_makes_it_images(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", tabular([None, 12], width=12), fed_shape=(3, 12))
    frozen = freeze(saved.folder, tmp_path, preprocessing={"size": [3, 4]})
    assert frozen.outcome["preprocessing"]["layout"] == "flat"
    assert frozen.outcome["preprocessing"]["size"] == [3, 4]
    with pytest.raises(FreezeError, match="not 5 x 5 pixels") as refused:
        freeze(saved.folder, tmp_path, preprocessing={"size": [5, 5]})
    assert refused.value.code == "not_an_image_input"


def test_few_numbers_are_read_as_an_image_only_where_it_is_said(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", tabular([None, 1], width=1), fed_shape=(3, 1))
    assert downloadable(freeze(saved.folder, tmp_path))
    frozen = freeze(saved.folder, tmp_path, preprocessing={"preset": "raw"}, scores="sigmoid")
    assert frozen.outcome["preprocessing"]["size"] == [1, 1]
    assert any("predictions mean nothing" in text for text in frozen.outcome["warnings"])


def test_images_of_unknown_size_are_asked_for_their_size(tmp_path: Path) -> None:
    """What looks at images is one that takes them, though its placeholder says nothing."""

    def build() -> None:
        x = v1.placeholder(tf.float32, None, name="x")
        kernel = v1.get_variable("kernel", [3, 3, 3, 4])
        hidden = tf.nn.conv2d(x, kernel, 1, "SAME")
        tf.nn.softmax(tf.reduce_mean(hidden, [1, 2]), name="y_pred")

    saved = save(tmp_path / "source", build, fed_shape=(2, 8, 8, 3))
    with pytest.raises(FreezeError, match="size"):
        freeze(saved.folder, tmp_path)
    frozen = freeze(saved.folder, tmp_path, preprocessing={"size": [8, 8]})
    assert frozen.outcome["preprocessing"]["size"] == [8, 8]


@pytest.mark.parametrize(
    ("shape", "assumed"),
    [
        ([None, 8, 8, 3], ["scaling", "color"]),
        ([None, 8, 6, 1], ["scaling"]),
        ([None, 3, 8, 6], ["scaling", "color"]),
        ([None, 8, 8], ["scaling"]),
        ([None, 64], ["scaling", "size"]),
        ([None, 192], ["scaling", "color", "size"]),
    ],
)
def test_what_the_input_does_not_show_is_assumed_and_said(
    tmp_path: Path, shape: list[int | None], assumed: list[str]
) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, shape, name="x")
        length = math.prod(side or 1 for side in shape[1:])
        tf.nn.softmax(networks.dense(tf.reshape(x, [-1, length]), 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build, fed_shape=(3, *[side or 1 for side in shape[1:]]))
    frozen = freeze(saved.folder, tmp_path)
    basis = Basis.model_validate(frozen.outcome["basis"])
    assert (basis.kind, basis.assumed) == ("assumed", assumed)
    (warning,) = [text for text in frozen.outcome["warnings"] if "is assumed" in text]
    meant = aspects(Preprocessing.model_validate(frozen.outcome["preprocessing"]))
    assert all(meant[aspect] in warning for aspect in basis.assumed)
    assert warning.endswith("`./permafrost models model`.")


def test_pixels_that_the_graph_scales_itself_are_not_scaled_before(tmp_path: Path) -> None:
    def build() -> None:
        x = networks.image_placeholder()
        tf.nn.softmax(networks.dense(networks.flat(x / 255.0), 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build, fed_shape=(3, 8, 8, 3))
    frozen = freeze(saved.folder, tmp_path)
    assert frozen.outcome["preprocessing"]["scale"] == 1.0
    basis = frozen.outcome["basis"]
    assert basis["fields"] == {"scaling": "read", "color": "assumed", "size": "read"}
    assert "the graph scales pixels itself" in basis["reasons"][0]
    given = freeze(saved.folder, tmp_path, preprocessing="zero_one")
    assert given.outcome["preprocessing"]["scale"] == pytest.approx(1 / 255)
    assert given.outcome["basis"]["kind"] == "stated"
    assert not [text for text in given.outcome["warnings"] if "assumed" in text]
