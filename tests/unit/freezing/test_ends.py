"""What graphs end in: the answer, and not what opens a gate or belongs to an ensemble."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.choosing.chooser import NoOutputsError
from freezing.choosing.plan import make_plan
from freezing.graph.content import Contents
from freezing.graph.flow import Flow
from freezing.graph.graph import Endpoint, Graph
from freezing.sources.losses import loss_in, loss_in_text
from tests.unit.freezing.looking import look
from tests.unit.freezing.networks import SIDE, dense, flat, image_placeholder, v1
from tests.unit.freezing.saved import freeze, save
from tests.unit.freezing.test_choosing import source_of
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError

Build = Callable[[], None]


def layer(width: int, name: str, x: Any = None) -> Any:
    return dense(flat(image_placeholder()) if x is None else x, width, name)


# -- what is inside is not the answer -------------------------------------------------------------


def squeeze_and_excitation() -> None:
    hidden = tf.nn.relu(layer(8, "hidden"))
    gate = tf.sigmoid(layer(8, "excite", tf.nn.relu(layer(2, "squeeze", hidden))))
    tf.identity(layer(4, "last", hidden * gate), name="answer")


def swish() -> None:
    hidden = layer(8, "hidden")
    tf.identity(layer(4, "last", hidden * tf.sigmoid(hidden)), name="answer")


def hidden_sigmoid() -> None:
    tf.identity(layer(4, "last", tf.sigmoid(layer(8, "hidden"))), name="answer")


def hidden_softmax() -> None:
    tf.identity(layer(4, "last", tf.nn.softmax(layer(8, "hidden"))), name="answer")


def highway() -> None:
    x = layer(8, "first")
    gate = tf.sigmoid(layer(8, "gate", x))
    mixed = gate * tf.tanh(layer(8, "transformed", x)) + (1.0 - gate) * x
    tf.identity(layer(4, "last", mixed), name="answer")


def attention_that_is_also_given() -> None:
    hidden = layer(8, "hidden")
    weights = tf.nn.softmax(layer(8, "attention", hidden))
    tf.identity(weights, name="attention_weights")
    tf.identity(layer(4, "last", hidden * weights), name="answer")


def mixture_of_experts() -> None:
    hidden = layer(8, "hidden")
    gate = tf.nn.softmax(layer(3, "gate", hidden))
    experts = tf.stack([layer(4, f"expert{n}", hidden) for n in range(3)], 1)
    tf.identity(tf.reduce_sum(experts * gate[:, :, tf.newaxis], 1), name="answer")


def mixture_of_probabilities() -> None:
    hidden = layer(8, "hidden")
    gate = tf.nn.softmax(layer(2, "gate", hidden))
    experts = [tf.nn.softmax(layer(4, f"expert{n}", hidden)) for n in range(2)]
    tf.identity(gate[:, :1] * experts[0] + gate[:, 1:] * experts[1], name="answer")


def recurrent_cell() -> None:
    """The rows of a picture, one after the other, through a cell with a gate."""
    rows = tf.transpose(tf.reshape(image_placeholder(), [-1, SIDE, SIDE * 3]), [1, 0, 2])
    kernel = v1.get_variable("kernel", [SIDE * 3, 5])

    def step(number: Any, state: Any) -> Any:
        entered = tf.matmul(rows[number], kernel)
        return number + 1, tf.sigmoid(entered) * tf.tanh(entered) + state

    start = tf.zeros_like(tf.matmul(rows[0], kernel))
    _, state = tf.while_loop(lambda number, _: number < SIDE, step, [0, start])
    tf.identity(layer(4, "last", state), name="answer")


def coarse_and_fine() -> None:
    hidden = layer(8, "hidden")
    coarse = tf.nn.softmax(layer(2, "coarse", hidden))
    tf.nn.softmax(layer(6, "fine", tf.concat([hidden, coarse], 1)), name="answer")


def confidence_beside() -> None:
    scores = tf.nn.softmax(layer(4, "last"), name="answer")
    tf.reduce_max(scores, 1, name="confidence")
    tf.cast(scores > 0.5, tf.float32, name="sure")
    tf.reduce_sum(-scores * tf.math.log(scores), 1, name="entropy")


def clipped_gradients() -> None:
    """Steps of the training go through all layers again, and are none of the network."""
    logits = layer(4, "last", tf.nn.relu(layer(8, "hidden")))
    scores = tf.nn.softmax(logits, name="answer")
    y_true = v1.placeholder(tf.float32, [None, 4], name="y_true")
    loss = -tf.reduce_mean(y_true * tf.math.log(scores))
    variables = v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)
    clipped, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), 5.0)
    v1.train.AdamOptimizer().apply_gradients(zip(clipped, variables, strict=True))


# -- ensembles ------------------------------------------------------------------------------------


def members(activation: Callable[[Any], Any]) -> list[Any]:
    x = flat(image_placeholder())
    return [activation(layer(4, f"member{n}", x)) for n in range(3)]


def ensemble(activation: Any, put_together: Callable[[list[Any]], Any]) -> Build:
    return lambda: tf.identity(put_together(members(activation)), name="answer")


def mean(parts: list[Any]) -> Any:
    return tf.add_n(parts) / 3.0


ANSWERED: list[tuple[Build, str]] = [
    (squeeze_and_excitation, "linear"),
    (swish, "linear"),
    (hidden_sigmoid, "linear"),
    (hidden_softmax, "linear"),
    (highway, "linear"),
    (attention_that_is_also_given, "linear"),
    (mixture_of_experts, "linear"),
    (mixture_of_probabilities, "softmax"),
    (recurrent_cell, "linear"),
    (coarse_and_fine, "softmax"),
    (confidence_beside, "softmax"),
    (clipped_gradients, "softmax"),
    (ensemble(tf.nn.softmax, mean), "softmax"),
    (ensemble(tf.nn.softmax, lambda parts: tf.reduce_mean(tf.stack(parts), 0)), "softmax"),
    (ensemble(tf.nn.softmax, tf.add_n), "softmax"),
    (ensemble(tf.nn.softmax, lambda parts: parts[0] * parts[1] * parts[2]), "softmax"),
    (
        ensemble(tf.nn.softmax, lambda parts: tf.maximum(parts[0], tf.maximum(*parts[1:]))),
        "softmax",
    ),
    (ensemble(tf.sigmoid, mean), "sigmoid"),
    (ensemble(tf.identity, mean), "linear"),
    (ensemble(tf.identity, lambda parts: tf.nn.softmax(mean(parts))), "softmax"),
]


@pytest.mark.parametrize(("build", "content"), ANSWERED)
def test_the_answer_is_what_the_graph_ends_in(build: Build, content: str) -> None:
    source = source_of(build)
    found = look(source)
    assert found.choice.outputs == ["answer:0"], found.choice.reasons
    assert found.choice.clear
    taken = make_plan(source, FreezeRequest.parse({"name": "m"}))
    assert taken.outputs[0].name == "answer:0"
    flow = Flow(Graph(source.graph_def))
    assert Contents(flow).trace(Endpoint("answer", 0)).content == content


# -- what is as good as another -------------------------------------------------------------------


def two_heads() -> None:
    hidden = layer(8, "hidden")
    tf.nn.softmax(layer(4, "kind", hidden), name="kind_of")
    tf.nn.softmax(layer(2, "sex", hidden), name="sex_of")


def heads_side_by_side() -> None:
    hidden = layer(8, "hidden")
    parts = [tf.nn.softmax(layer(n, f"head{n}", hidden), name=f"head{n}_scores") for n in (3, 2)]
    tf.concat(parts, 1, name="both")


def expected_age() -> None:
    ages = tf.nn.softmax(layer(101, "ages"), name="share_of_ages")
    tf.reduce_sum(ages * tf.range(101, dtype=tf.float32), 1, name="expected")


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (two_heads, ["kind_of", "sex_of"]),
        (heads_side_by_side, ["head3_scores", "head2_scores"]),
        (expected_age, ["share_of_ages", "expected"]),
    ],
)
def test_what_is_equally_good_is_listed_with_what_to_type(build: Build, names: list[str]) -> None:
    with pytest.raises(NoOutputsError) as refused:
        make_plan(source_of(build), FreezeRequest.parse({"name": "m"}))
    assert all(f"`--output {name}`" in refused.value.message for name in names)


# -- what is no scores ----------------------------------------------------------------------------


def landmarks() -> None:
    tf.identity(layer(30, "landmarks"), name="y_pred")


def one_number() -> None:
    tf.identity(layer(1, "last"), name="y_pred")


def features() -> None:
    tf.identity(tf.nn.relu(layer(8, "last")), name="y_pred")


def embedding() -> None:
    tf.math.l2_normalize(layer(8, "last"), 1, name="y_pred")


def mask() -> None:
    kernel = v1.get_variable("kernel", [3, 3, 3, 1])
    tf.sigmoid(tf.nn.conv2d(image_placeholder(), kernel, 1, "SAME"), name="y_pred")


def sequence() -> None:
    """A number for each row of a picture."""
    rows = tf.reshape(image_placeholder(), [-1, SIDE * 3])
    tf.reshape(layer(1, "last", rows), [-1, SIDE, 1], name="y_pred")


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (landmarks, "no name for classes"),
        (one_number, "an age or a price.*--scores sigmoid"),
        (features, "features"),
        (embedding, "an embedding"),
        (mask, "a map"),
        (sequence, "a sequence"),
    ],
)
def test_what_are_no_scores_is_kept_for_download_with_the_reason(
    tmp_path: Path, build: Build, said: str
) -> None:
    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path, outputs=[], optimise=False)
    assert frozen.outcome["scores"] is None
    (warning,) = [text for text in frozen.outcome["warnings"] if "not taken for scores" in text]
    assert "predictions are refused" in warning
    assert re.search(said, warning)
    assert not any("is assumed" in text for text in frozen.outcome["warnings"])


def test_two_names_make_scores_of_one_number(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", one_number)
    frozen = freeze(saved.folder, tmp_path, outputs=[], labels=["cat", "dog"], optimise=False)
    assert (frozen.outcome["scores"], frozen.outcome["labels"]) == ("sigmoid", ["cat", "dog"])


def test_a_mask_with_labels_is_refused(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", mask)
    with pytest.raises(FreezeError, match=r"labels|not one row of scores"):
        freeze(saved.folder, tmp_path, outputs=[], scores="probabilities", optimise=False)


def suppressed() -> None:
    x = v1.placeholder(tf.float32, [1, SIDE, SIDE, 3], name="x")
    boxes = tf.reshape(layer(24, "boxes", flat(x)), [6, 4])
    scores = tf.reshape(tf.sigmoid(layer(6, "scores", flat(x))), [6])
    kept = tf.image.non_max_suppression(boxes, scores, 3)
    tf.gather(boxes, kept, name="detection_boxes")
    tf.gather(scores, kept, name="detection_scores")


def test_all_that_a_detector_finds_is_kept_for_download(tmp_path: Path) -> None:
    outputs = ("detection_boxes:0", "detection_scores:0")
    saved = save(tmp_path / "source", suppressed, outputs=outputs)
    frozen = freeze(saved.folder, tmp_path, outputs=[], optimise=False)
    assert {one["name"] for one in frozen.outcome["outputs"]} == set(outputs)
    assert frozen.outcome["scores"] is None
    assert any("boxes, not classes" in text for text in frozen.outcome["warnings"])


# -- a row of one image ---------------------------------------------------------------------------


def first_row(name: str = "y_pred", width: int = 8) -> Build:
    def build() -> None:
        tf.identity(tf.nn.softmax(layer(width, "last"), name="all_rows")[0], name=name)

    return build


def whole_batch() -> None:
    tf.reduce_mean(tf.nn.softmax(layer(8, "last")), 0, name="y_pred")


@pytest.mark.parametrize(
    ("build", "batch"), [(first_row(), None), (first_row(width=4), None), (whole_batch, 1)]
)
def test_the_row_of_one_image_is_seen_for_what_it_is(
    tmp_path: Path, build: Build, batch: int | None
) -> None:
    """With eight numbers it looks like one number for each of the eight samples."""
    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path, optimise=False)
    assert frozen.outcome["inputs"][0]["shape"][0] == batch
    assert frozen.outcome["scores"] == "probabilities"
    one = frozen.answers(saved.images[:1])[0].reshape(-1)
    if batch is None:
        np.testing.assert_allclose(one, saved.expected["y_pred:0"], atol=1e-5)
    assert len(one) == (4 if frozen.outcome["outputs"][0]["shape"][-1] == 4 else 8)


# -- inputs that are no images --------------------------------------------------------------------


def series(shape: list[int], dtype: Any = tf.float32) -> Build:
    def build() -> None:
        x = v1.placeholder(dtype, [None, *shape], name="x")
        length = int(np.prod(shape))
        tf.nn.softmax(
            layer(3, "last", tf.reshape(tf.cast(x, tf.float32), [-1, length])), name="y_pred"
        )

    return build


def tokens() -> None:
    x = v1.placeholder(tf.float32, [None, 64], name="x")
    table = v1.get_variable("table", [10, 4])
    words = tf.reduce_mean(tf.gather(table, tf.cast(x, tf.int32)), 1)
    tf.nn.softmax(layer(3, "last", words), name="y_pred")


def read_by_convolution() -> None:
    x = v1.placeholder(tf.float32, [None, 12, 20], name="x")
    kernel = v1.get_variable("kernel", [3, 3, 1, 3])
    hidden = tf.nn.conv2d(x[..., tf.newaxis], kernel, 1, "SAME")
    tf.nn.softmax(tf.reduce_mean(hidden, [1, 2]), name="y_pred")


@pytest.mark.parametrize(
    ("build", "unlike"),
    [
        (series([100, 1]), "a sequence of 100 steps"),
        (series([128, 9]), "a sequence of 128 steps"),
        (series([1, 100, 1]), "a single number"),
        (series([25]), "fewer than the smallest images"),
        (tokens, "places in a table"),
        (series([28, 28]), None),
        (series([64]), None),
        (read_by_convolution, None),
    ],
)
def test_what_is_no_image_is_told_from_images(build: Build, unlike: str | None) -> None:
    plan = make_plan(source_of(build), FreezeRequest.parse({"name": "m"}))
    assert (plan.unlike is None) == (unlike is None)
    assert (unlike or "") in (plan.unlike or "")


# -- losses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("training", "name"),
    [
        ({"loss": "mse"}, "mse"),
        ({"loss": ["mae"]}, "mae"),
        ({"loss": {"age": {"class_name": "Huber", "config": {}}}}, "Huber"),
        (
            {"loss": {"class_name": "function", "config": "binary_crossentropy"}},
            "binary_crossentropy",
        ),
        ({"loss": {"a": "mse", "b": "mae"}}, None),
        ({"loss": 3}, None),
        ({"loss": "a\nb"}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_one_loss_of_a_keras_file_is_read(training: Any, name: str | None) -> None:
    found = loss_in(training)
    assert (None if found is None else found.name) == name


def test_a_loss_that_is_no_json_is_none() -> None:
    assert loss_in_text("{") is None
    assert loss_in_text("[" * 100_000) is None
    assert loss_in_text(None) is None
