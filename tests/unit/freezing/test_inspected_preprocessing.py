"""How pixels are scaled and sized, as an inspection tells from the graph."""

import pytest
import tensorflow as tf

from freezing.choosing.plan import make_plan
from freezing.choosing.preprocessing_guess import Guess
from freezing.choosing.usage import choose_preprocessing
from tests.unit.freezing import networks
from tests.unit.freezing.looking import Build, look
from tests.unit.freezing.networks import SIDE, dense, image_placeholder, v1
from tests.unit.freezing.test_choosing import source_of
from tests.unit.freezing.usual_networks import dense_softmax, inception_2015
from worker.contract.source_requests import FreezeRequest
from worker.models.preprocessing import PreprocessingSpec


def rescaled(factor: float, offset: float) -> Build:
    def build() -> None:
        x = image_placeholder()
        dense_softmax(tf.add(tf.multiply(x, factor, name="scale"), offset, name="shift"))

    return build


@pytest.mark.parametrize(
    ("build", "scale", "words"),
    [
        (networks.plain, 1 / 255, "does not show in the graph"),
        (rescaled(1 / 255, 0.0), 1.0, "scales pixels itself"),
        (rescaled(1 / 127.5, -1.0), 1.0, "scales pixels itself"),
        (rescaled(1.0, -117.0), 1.0, "scales pixels itself"),
        (rescaled(2.0, -1.0), 1 / 255, "scales pixels itself"),
        (rescaled(1.0, 0.1), 1 / 255, "does not show in the graph"),
        (inception_2015, 1.0, "what the decoder gives"),
    ],
)
def test_how_pixels_are_scaled_is_told_from_the_graph(
    build: Build, scale: float, words: str
) -> None:
    guess = look(build).preprocessing
    assert guess.problem is None
    assert guess.fields["scale"] == pytest.approx(scale)
    assert guess.fields["size"] == [SIDE, SIDE]
    assert guess.basis is not None
    assert words in guess.basis.reasons[0]


def test_what_scales_pixels_in_front_of_a_named_input_is_taken_over() -> None:
    source = source_of(inception_2015)
    plan = make_plan(source, FreezeRequest.parse({"name": "m", "inputs": ["Mul"]}))
    found = choose_preprocessing(PreprocessingSpec(), plan, Guess(), [])
    assert found is not None
    how = found.preprocessing
    assert (how.scale, how.mean, how.std) == (1 / 128, [1.0], [1.0])
    assert found.basis.fields["scaling"] == "read"


def open_size(side: int, pool: bool) -> Build:
    """A network for images of one size, whose placeholder does not say so."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, None, None, 3], name="x")
        hidden = tf.nn.max_pool2d(x, 4, 4, "SAME")
        hidden = tf.nn.max_pool2d(hidden, 4, 4, "SAME")
        if pool:
            hidden = tf.nn.avg_pool2d(hidden, side // 16, 2, "VALID")
            hidden = tf.squeeze(hidden, [1, 2])
            width = 3
        else:
            width = side * side * 3 // 256
            hidden = tf.reshape(hidden, [-1, width])
        weights = v1.get_variable("weights", [width, 4])
        tf.nn.softmax(tf.matmul(hidden, weights), name="y_pred")

    return build


@pytest.mark.parametrize("side", [64, 160, 224])
@pytest.mark.parametrize("pool", [True, False])
def test_the_size_of_images_is_told_by_the_layers_that_insist_on_it(side: int, pool: bool) -> None:
    found = look(open_size(side, pool))
    assert found.preprocessing.fields["size"] == [side, side]
    assert found.inputs[0].shape == [None, side, side, 3]
    assert found.freeze.ready


def test_a_network_for_any_size_is_given_none() -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, None, None, 3], name="x")
        tf.nn.softmax(dense(tf.reduce_mean(x, [1, 2]), 4, "dense"), name="y_pred")

    found = look(build)
    assert found.preprocessing.problem is not None
    assert "size" in found.preprocessing.problem
    assert not found.freeze.ready
