"""Models of a fixed batch size: served by padding, or freed where the shapes allow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.optimising.batch import BatchNotFreeError
from freezing.verifying.single_images import RowsNotIndependentError
from tests.unit.freezing import networks
from tests.unit.freezing.networks import dense, image_placeholder, v1
from tests.unit.freezing.saved import Array, Saved, freeze, save


def end(hidden: Any) -> None:
    tf.nn.softmax(dense(hidden, 4, "dense"), name="y_pred")


def flattened(batch: int) -> None:
    end(tf.reshape(image_placeholder(batch=batch), [batch, 192]))


def flattened_by_the_rest(batch: int) -> None:
    end(tf.reshape(tf.reshape(image_placeholder(batch=batch), [batch, -1]), [batch, 192]))


def only_inside(batch: int) -> None:
    end(tf.reshape(image_placeholder(), [batch, 192]))


def squeezed(batch: int) -> None:
    """As MobileNet ends: pooled, convolved once more, squeezed, reshaped."""
    x = image_placeholder(batch=batch)
    hidden = tf.nn.avg_pool2d(x, 8, 1, "VALID")
    hidden = tf.nn.conv2d(hidden, v1.get_variable("kernel", [1, 1, 3, 4]), 1, "SAME")
    logits = tf.squeeze(hidden, [1, 2])
    tf.reshape(tf.nn.softmax(logits), [batch, 4], name="y_pred")


def squeezed_of_everything(_: int) -> None:
    hidden = tf.reduce_mean(image_placeholder(batch=1), [1, 2], keepdims=True)
    logits = tf.squeeze(tf.nn.conv2d(hidden, v1.get_variable("k", [1, 1, 3, 4]), 1, "SAME"))
    tf.nn.softmax(tf.reshape(logits, [1, 4]), name="y_pred")


def without_a_batch_at_the_end(_: int) -> None:
    end(tf.reshape(image_placeholder(batch=1), [1, 192]))
    y_pred = v1.get_default_graph().get_tensor_by_name("y_pred:0")
    tf.identity(y_pred[0], name="row")


def rows_of_pixels(batch: int) -> None:
    """The pixels of all images are one list for a while."""
    x = image_placeholder(batch=batch)
    pixels = tf.reshape(x, [batch * 64, 3])
    hidden = tf.tanh(tf.matmul(pixels, v1.get_variable("mix", [3, 2])))
    end(tf.reshape(hidden, [batch, 128]))


def enlarged(batch: int) -> None:
    x = image_placeholder(batch=batch)
    kernel = v1.get_variable("kernel", [3, 3, 2, 3])
    hidden = tf.nn.conv2d_transpose(x, kernel, [batch, 16, 16, 2], 2)
    end(tf.reduce_max(hidden, [1, 2]))


FREE = [
    (flattened, 3), (flattened, 1), (flattened_by_the_rest, 3), (only_inside, 3), (squeezed, 1),
    (squeezed, 5), (squeezed_of_everything, 1), (rows_of_pixels, 1), (rows_of_pixels, 4),
    (enlarged, 1), (enlarged, 2),
]  # fmt: skip


def made(folder: Path, build: Callable[[int], None], batch: int, output: str = "y_pred") -> Saved:
    def network() -> None:
        build(batch)

    return save(folder / "source", network, outputs=(f"{output}:0",))


def rows(saved: Saved, output: str, images: Array, batch: int) -> Array:
    """What the checkpoint itself answers, one batch after the other, the last one padded."""
    found = []
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(f"{saved.prefix}.meta").restore(session, str(saved.prefix))
        for start in range(0, len(images), batch):
            piece = images[start : start + batch]
            padding = np.zeros((batch - len(piece), *piece.shape[1:]), piece.dtype)
            answer = session.run(output, {"x:0": np.concatenate([piece, padding])})
            found.append(answer.reshape(batch, -1)[: len(piece)])
    return np.concatenate(found)


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize(("build", "batch"), FREE)
def test_a_fixed_batch_size_is_freed(
    tmp_path: Path, build: Callable[[int], None], batch: int, optimise: bool
) -> None:
    saved = made(tmp_path, build, batch)
    frozen = freeze(saved.folder, tmp_path, batch="free", optimise=optimise)
    assert frozen.outcome["inputs"][0]["shape"] == [None, 8, 8, 3]
    assert frozen.outcome["outputs"][0]["shape"] == [None, 4]
    assert frozen.outcome["batch"] == {"source": batch, "served": None}
    assert frozen.outcome["verification"]["samples"] == 8
    images = np.random.default_rng(0).random((7, 8, 8, 3), np.float32)
    expected = rows(saved, "y_pred:0", images, batch)
    for count in (7, 2, 1):
        found = frozen.answers(images[:count])[0]
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)


def test_an_output_that_dropped_its_only_row_gets_rows(tmp_path: Path) -> None:
    saved = made(tmp_path, without_a_batch_at_the_end, 1, "row")
    kept = freeze(saved.folder, tmp_path, outputs=["row"])
    assert kept.outcome["batch"] == {"source": 1, "served": 1}
    assert kept.outcome["inputs"][0]["shape"] == [1, 8, 8, 3]
    frozen = freeze(saved.folder, tmp_path, outputs=["row"], batch="free")
    assert frozen.outcome["outputs"][0]["shape"] == [None, 4]
    images = np.random.default_rng(0).random((5, 8, 8, 3), np.float32)
    np.testing.assert_allclose(
        frozen.answers(images)[0], rows(saved, "row:0", images, 1), atol=1e-5
    )


def test_what_is_free_already_stays_as_it_is(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.plain)
    kept, freed = (freeze(saved.folder, tmp_path, batch=how) for how in ("keep", "free"))
    assert freed.graph_def == kept.graph_def
    assert freed.outcome["batch"] == {"source": None, "served": None}


def mixing(batch: int) -> None:
    """Each answer takes something of the other images."""
    x = tf.reshape(image_placeholder(batch=batch), [batch, 192])
    end(x - tf.reduce_mean(x, 0, keepdims=True))


def interleaving(batch: int) -> None:
    x = tf.reshape(image_placeholder(batch=batch), [96, 2 * batch])
    end(tf.reshape(tf.transpose(x), [batch, 192]))


def with_a_state(batch: int) -> None:
    """What a recurrent network begins with has a row for each image of the batch."""
    start = tf.constant(np.random.default_rng(0).random((batch, 192)).astype(np.float32))
    end(tf.reshape(image_placeholder(batch=batch), [batch, 192]) + start)


def only_the_first(batch: int) -> None:
    x = tf.reshape(image_placeholder(batch=batch), [batch, 192])
    end(tf.tile(x[:1], [batch, 1]))


def test_a_row_for_each_place_in_the_batch_cannot_be_freed(tmp_path: Path) -> None:
    saved = made(tmp_path, with_a_state, 3)
    with pytest.raises(BatchNotFreeError, match=r"cannot be freed: .*--batch keep") as refused:
        freeze(saved.folder, tmp_path, batch="free")
    assert refused.value.code == "batch_not_free"


@pytest.mark.parametrize("build", [mixing, interleaving, only_the_first])
@pytest.mark.parametrize("batch", ["free", "keep"])
def test_where_images_need_each_other_they_are_refused(
    tmp_path: Path, build: Callable[[int], None], batch: str
) -> None:
    saved = made(tmp_path, build, 3)
    with pytest.raises(RowsNotIndependentError, match="exactly 3 images at a time") as refused:
        freeze(saved.folder, tmp_path, batch=batch)
    assert refused.value.code == "rows_not_independent"
