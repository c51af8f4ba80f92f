"""What an inspection says of networks as people build them, and that a freeze does the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.choosing.plan import NoOutputsError, make_plan
from freezing.choosing.preprocessing_guess import Guess
from freezing.choosing.usage import choose_preprocessing
from freezing.inspecting.inspection import look_into
from freezing.sources.opening import open_source
from freezing.sources.source import Signature, Source
from tests.unit.freezing import networks
from tests.unit.freezing.networks import SIDE, dense, flat, image_placeholder, v1
from tests.unit.freezing.test_choosing import source_of
from worker.contract.source_requests import FreezeRequest, InspectionRequest
from worker.errors import FreezeError, SourceError
from worker.models.inspection import Inspection
from worker.models.preprocessing import PreprocessingSpec
from worker.sources.choice import SourceChoice

Build = Callable[[], None]
GRADIENT_DESCENT = v1.train.GradientDescentOptimizer(0.1)


def look(source: Build | Source, **fields: Any) -> Inspection:
    opened = source if isinstance(source, Source) else source_of(source)
    return look_into(opened, InspectionRequest.parse(fields))


def codes(found: Inspection, level: str) -> set[str]:
    return {finding.code for finding in found.findings if finding.level == level}


def dense_softmax(x: Any, name: str = "y_pred") -> None:
    tf.nn.softmax(dense(flat(x), 4, "dense"), name=name)


# -- networks as people build them ----------------------------------------------------------------


def slim_batch_norm() -> None:
    networks.with_batch_norm()


def slim_mobilenet() -> None:
    x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="input")
    is_training = v1.placeholder_with_default(False, [], name="is_training")
    hidden = networks.batch_norm(x, is_training, updates_in_graph=False)
    hidden = tf.reduce_mean(hidden, [1, 2], keepdims=True)
    logits = tf.squeeze(dense(tf.reshape(hidden, [-1, 3]), 5, "logits"), name="Squeeze")
    logits = tf.reshape(logits, [-1, 5], name="MobilenetV1/Logits/SpatialSqueeze")
    flat_logits = tf.reshape(logits, [-1, 5], name="MobilenetV1/Predictions/Reshape")
    scores = tf.nn.softmax(flat_logits, name="MobilenetV1/Predictions/Softmax")
    tf.reshape(scores, [-1, 5], name="MobilenetV1/Predictions/Reshape_1")


def layers_with_queue() -> None:
    """As tf.layers was used with tf.train.batch: images and labels come from one queue."""
    shapes = [[SIDE, SIDE, 3], []]
    queue = v1.FIFOQueue(4, [tf.float32, tf.int64], shapes, name="batch/fifo_queue")
    images, labels = queue.dequeue_many(2, name="batch")
    rate = v1.placeholder(tf.float32, name="dropout_rate")
    hidden = v1.nn.dropout(tf.nn.relu(dense(flat(images), 8, "hidden")), rate=rate)
    logits = dense(hidden, 4, "logits")
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )
    v1.summary.scalar("zero_fraction", tf.math.zero_fraction(hidden))
    v1.summary.scalar("loss", loss)
    v1.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
    tf.reduce_mean(tf.cast(tf.nn.in_top_k(labels, logits, 1), tf.float32), name="precision")


def inception_2015() -> None:
    """The graph of classify_image: JPEG bytes are fed to a constant."""
    text = tf.constant("", name="DecodeJpeg/contents")
    image = tf.cast(tf.image.decode_jpeg(text, channels=3, name="DecodeJpeg"), tf.float32)
    batch = tf.expand_dims(image, 0, name="ExpandDims")
    resized = v1.image.resize_bilinear(batch, [SIDE, SIDE], name="ResizeBilinear")
    scaled = tf.multiply(tf.subtract(resized, 128.0, name="Sub"), 1 / 128, name="Mul")
    weights = tf.constant(np.ones([3, 3, 3, 4], np.float32), name="conv/conv2d_params")
    hidden = tf.nn.conv2d(scaled, weights, 1, "SAME", name="conv/Conv2D")
    hidden = tf.reshape(tf.reduce_mean(hidden, [1, 2]), [-1, 4], name="pool_3/_reshape")
    last = tf.constant(np.ones([4, 1008], np.float32), name="softmax/weights")
    tf.nn.softmax(tf.matmul(hidden, last, name="softmax/logits/MatMul"), name="softmax")


def keras_with_learning_phase() -> None:
    x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="input_1")
    phase = v1.placeholder_with_default(False, [], name="keras_learning_phase")
    hidden = dense(flat(x), 8, "dense")
    hidden = v1.cond(phase, lambda: v1.nn.dropout(hidden, rate=0.5), lambda: tf.identity(hidden))
    tf.nn.softmax(dense(hidden, 3, "dense_1"), name="dense_1/Softmax")


def two_towers() -> None:
    x = v1.placeholder(tf.float32, [4, SIDE, SIDE, 3], name="x")
    for number, part in enumerate(tf.split(x, 2)):
        with v1.variable_scope(v1.get_variable_scope(), reuse=number > 0):
            logits = dense(flat(part), 4, "dense")
        tf.nn.softmax(logits, name=f"tower_{number}/prob")


def training_and_evaluation_copy() -> None:
    x = image_placeholder()
    for name in ("train", "eval"):
        with v1.variable_scope("net", reuse=name == "eval"):
            hidden = dense(flat(x), 8, "hidden")
            hidden = v1.nn.dropout(hidden, rate=0.5) if name == "train" else hidden
            tf.nn.softmax(dense(hidden, 4, "out"), name=f"{name}_softmax")


def early_heads() -> None:
    """GoogLeNet of 2014: softmax0 and softmax1 leave early, softmax2 is the answer."""
    hidden = flat(image_placeholder())
    for number in range(3):
        for layer in range(4):
            hidden = tf.nn.relu(dense(hidden, 16, f"block{number}_{layer}"))
        tf.nn.softmax(dense(hidden, 4, f"head{number}"), name=f"softmax{number}")


def argmax_beside() -> None:
    logits = dense(flat(image_placeholder()), 4, "dense")
    tf.nn.softmax(logits, name="probabilities")
    tf.argmax(logits, 1, name="classes")
    tf.nn.top_k(logits, 2, name="best")


def one_sigmoid() -> None:
    logits = dense(flat(image_placeholder()), 1, "dense")
    tf.sigmoid(logits, name="attractive")
    y_true = v1.placeholder(tf.float32, [None, 1], name="labels")
    loss = tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=y_true, logits=logits)
    ) + 0.01 * tf.nn.l2_loss(v1.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)[0])
    GRADIENT_DESCENT.minimize(loss)


def logits_only() -> None:
    hidden = tf.nn.relu(dense(flat(image_placeholder()), 8, "fc6"))
    tf.identity(dense(hidden, 10, "fc8"), name="fc8/out")


def softmax_written_out() -> None:
    powers = tf.exp(dense(flat(image_placeholder()), 4, "dense"))
    tf.divide(powers, tf.reduce_sum(powers, 1, keepdims=True), name="probs")


def squared_loss() -> None:
    """As the linear models of many courses: the prediction goes into nothing but the loss."""
    x = v1.placeholder(tf.float32, [None, 784], name="pixels")
    y = v1.placeholder(tf.float32, [None, 10], name="targets")
    prediction = dense(x, 10, "dense")
    loss = tf.reduce_sum(tf.square(prediction - y)) + 0.1 * tf.nn.l2_loss(
        v1.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)[0]
    )
    GRADIENT_DESCENT.minimize(loss)


def attention_inside() -> None:
    x = flat(image_placeholder())
    attention = tf.nn.softmax(dense(x, 192, "attention"), name="attention/probs")
    tf.nn.softmax(dense(x * attention, 4, "dense"), name="answer")


def numbers_behind_the_image() -> None:
    """A second input that comes in after the first layers is no label."""
    x = flat(image_placeholder())
    place = v1.placeholder(tf.float32, [None, 2], name="place")
    hidden = tf.concat([dense(x, 8, "hidden"), place], 1)
    tf.nn.softmax(dense(hidden, 4, "dense"), name="y_pred")


CLEAR: list[tuple[Build, str, str]] = [
    (networks.plain, "x", "y_pred"),
    (networks.trained, "x", "y_pred"),
    (slim_batch_norm, "x", "y_pred"),
    (slim_mobilenet, "input", "MobilenetV1/Predictions/Reshape_1"),
    (layers_with_queue, "batch", "logits/add"),
    (inception_2015, "ResizeBilinear", "softmax"),
    (keras_with_learning_phase, "input_1", "dense_1/Softmax"),
    (two_towers, "x", "tower_0/prob"),
    (training_and_evaluation_copy, "x", "net_1/eval_softmax"),
    (early_heads, "x", "softmax2"),
    (argmax_beside, "x", "probabilities"),
    (one_sigmoid, "x", "attractive"),
    (logits_only, "x", "fc8/out"),
    (softmax_written_out, "x", "probs"),
    (squared_loss, "pixels", "dense/add"),
    (attention_inside, "x", "answer"),
    (numbers_behind_the_image, "x", "y_pred"),
]


@pytest.mark.parametrize(("build", "taken", "output"), CLEAR)
def test_the_first_choice_is_what_the_author_meant(build: Build, taken: str, output: str) -> None:
    found = look(build)
    assert found.choice.clear, found.choice.reasons
    assert (found.choice.input, found.choice.outputs) == (f"{taken}:0", [f"{output}:0"])
    assert [one.name for one in found.outputs if one.chosen] == [f"{output}:0"]
    assert found.outputs[0].name == f"{output}:0"
    assert found.inputs[0].chosen
    assert all(one.reasons for one in [*found.outputs, *found.inputs])


@pytest.mark.parametrize(
    "build", [build for build, *_ in CLEAR if build is not numbers_behind_the_image]
)
def test_a_freeze_that_names_nothing_takes_the_same(build: Build) -> None:
    source = source_of(build)
    found = look(source)
    values = found.freeze.body.get("set", {})
    plan = make_plan(source, FreezeRequest.parse({"name": "m", "set": values}))
    assert plan.outputs[0].name == found.choice.outputs[0]
    told = " ".join(plan.warnings)
    assert f"No output was named; '{found.choice.outputs[0]}'" in told
    # Of an op with several outputs, the one that is cut off gets a name of its own.
    assert plan.input.name == found.choice.input or f"'{found.choice.input}' was chosen" in told


# -- what is not clear ------------------------------------------------------------------------


def two_answers() -> None:
    x = flat(image_placeholder())
    tf.nn.softmax(dense(x, 4, "age"), name="age/predictions")
    tf.nn.softmax(dense(x, 2, "gender"), name="gender/predictions")


def detection() -> None:
    hidden = dense(flat(image_placeholder()), 24, "head")
    tf.reshape(hidden, [-1, 6, 4], name="detection_boxes")
    tf.reduce_max(tf.reshape(hidden, [-1, 6, 4]), 2, name="detection_scores")


def only_classes() -> None:
    tf.argmax(dense(flat(image_placeholder()), 4, "dense"), 1, name="classes")


@pytest.mark.parametrize("build", [two_answers, detection])
def test_several_answers_are_listed_and_neither_is_taken(build: Build) -> None:
    source = source_of(build)
    found = look(source)
    assert not found.choice.clear
    assert len(found.choice.outputs) >= 2
    assert not found.freeze.ready or "no_outputs" in codes(found, "warning")
    with pytest.raises(NoOutputsError) as refused:
        make_plan(source, FreezeRequest.parse({"name": "m"}))
    assert refused.value.message in found.choice.reasons
    assert all(name.partition(":")[0] in refused.value.message for name in found.choice.outputs)


def test_a_class_number_is_not_taken_for_scores() -> None:
    found = look(only_classes)
    assert found.outputs[0].name == "dense/add:0"
    assert [one.name for one in found.outputs] == ["dense/add:0", "classes:0"]
    assert "decides" in found.outputs[1].reasons[0]


def test_a_graph_without_an_answer_is_told_about_all_the_same() -> None:
    found = look(lambda: v1.get_variable("alone", [3]))
    assert (found.outputs, found.inputs, found.predicted) == ([], [], None)
    assert not found.freeze.ready
    assert found.parameters.total == 3
    assert "no_outputs" in codes(found, "error")


# -- placeholders -----------------------------------------------------------------------------


def test_placeholders_come_with_the_value_to_set_and_the_advice_holds() -> None:
    source = source_of(networks.with_batch_norm)
    found = look(source)
    assert {one.name: one.value for one in found.values} == {"is_training": False, "keep_prob": 1.0}
    assert found.freeze.ready
    assert found.freeze.body["set"] == {"is_training": False, "keep_prob": 1.0}
    assert "--set is_training=false --set keep_prob=1.0" in found.freeze.command
    assert make_plan(source, FreezeRequest.parse(found.freeze.body)).input.name == "x:0"
    with pytest.raises(FreezeError, match=r"--set is_training=false --set keep_prob=1\.0"):
        make_plan(source, FreezeRequest.parse({"name": "m"}))


def test_a_default_is_told_and_a_rate_is_set_to_zero() -> None:
    value = look(keras_with_learning_phase).values[0]
    assert (value.name, value.default, value.value) == ("keras_learning_phase", False, False)
    rate = look(layers_with_queue).values[0]
    assert (rate.name, rate.value) == ("dropout_rate", 0.0)


def with_a_computed_default() -> None:
    x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="x")
    hidden = v1.placeholder_with_default(dense(flat(x), 8, "dense"), [None, 8], name="bottleneck")
    tf.nn.softmax(dense(hidden, 3, "dense_1"), name="final_result")


def test_a_default_that_is_computed_is_kept_and_no_value_is_asked_for() -> None:
    found = look(with_a_computed_default)
    (value,) = found.values
    assert (value.name, value.default, value.value) == ("bottleneck", None, None)
    assert "has a default" in value.reason
    assert found.freeze.ready


def test_a_placeholder_without_a_likely_value_is_named() -> None:
    found = look(numbers_behind_the_image)
    assert [(one.name, one.value) for one in found.values] == [("place", None)]
    assert codes(found, "error") == {"unset_placeholders"}
    assert not found.freeze.ready


def test_labels_are_known_by_meeting_only_what_came_out_of_the_weights() -> None:
    found = look(squared_loss)
    assert "targets" in str(found.findings)
    assert [one.name for one in found.inputs] == ["pixels:0"]


# -- contents ---------------------------------------------------------------------------------


def test_what_is_kept_and_dropped_is_counted_in_numbers_and_bytes() -> None:
    found = look(networks.trained)
    weights = SIDE * SIDE * 3 * 4 + 4
    assert (found.parameters.total, found.parameters.kept) == (weights, weights)
    assert found.parameters.kept_bytes == 4 * weights
    layer = found.parameters.layers[0]
    assert (layer.name, layer.variables) == ("dense", ["weights 192x4", "biases 4"])
    dropped = {one.kind: one for one in found.dropped}
    # Two slots for each of the two variables, and two powers.
    assert dropped["optimizer_slots"].nodes == 6
    assert dropped["optimizer_slots"].bytes > 8 * weights
    assert dropped["gradients"].nodes > 0
    assert dropped["summaries"].nodes > 0
    assert found.predicted is not None
    assert found.predicted.parameters == weights
    assert 4 * weights < found.predicted.bytes < 4 * weights + 2000


def test_branches_that_only_training_takes_are_not_predicted() -> None:
    found = look(networks.with_batch_norm)
    assert found.predicted is not None
    # The moving averages stay, and what updates them goes.
    assert found.parameters.kept == 3 * 3 * 3 * 4 + 4 * 4 + 64 * 4 + 4
    assert found.predicted.nodes < 40


def test_parameters_of_a_frozen_graph_are_its_constants() -> None:
    found = look(inception_2015)
    assert found.parameters.total == found.parameters.kept == 108 + 4 * 1008


def test_the_answer_of_a_signature_comes_first() -> None:
    opened = source_of(two_answers)
    signature = Signature(
        name="serving_default",
        method="tensorflow/serving/predict",
        inputs={"image": "x:0"},
        outputs={"gender": "gender/predictions:0"},
    )
    source = Source(
        **{**vars(opened), "signatures": (signature,), "labels": ["woman", "man"]},
    )
    found = look(source)
    assert found.choice.outputs == ["gender/predictions:0"]
    assert found.outputs[0].reasons[0] == "output 'gender' of the signature 'serving_default'"
    assert found.inputs[0].reasons[0] == "an input of the signature"
    assert found.labels == 2
    assert found.signatures[0].inputs == {"image": "x:0"}


# -- preprocessing ----------------------------------------------------------------------------


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


# -- findings ---------------------------------------------------------------------------------


def test_dropout_that_was_left_on_is_told_to_be_turned_off() -> None:
    def build() -> None:
        dense_softmax(v1.nn.dropout(image_placeholder(), rate=0.5))

    found = look(build)
    assert any("Dropout was left on" in one.message for one in found.findings)
    assert "set" not in found.freeze.body
    assert found.freeze.ready


def test_random_numbers_and_batch_statistics_are_told() -> None:
    def build() -> None:
        x = image_placeholder() + tf.random.normal([SIDE, SIDE, 3], name="noise")
        ones, zeros = tf.ones([3]), tf.zeros([3])
        normal = v1.nn.fused_batch_norm(x, ones, zeros, is_training=True)[0]
        dense_softmax(normal)

    assert {"random", "batch_norm_training"} <= codes(look(build), "warning")


def test_a_fixed_batch_and_double_precision_are_told() -> None:
    def build() -> None:
        x = v1.placeholder(tf.float64, [1, SIDE, SIDE, 3], name="x")
        dense_softmax(x)

    assert {"fixed_batch", "float64", "missing_labels"} <= codes(look(build), "note")


def test_paths_of_another_machine_and_unused_placeholders_are_told() -> None:
    def build() -> None:
        networks.trained()
        tf.constant("/home/someone/train.tfrecords", name="file")

    assert {"absolute_paths", "unused_placeholders"} <= codes(look(build), "note")


def renamed(build: Build, node: str, op: str) -> Source:
    """Return a source in which one node is of another op."""
    source = source_of(build)
    for found in source.graph_def.node:
        if found.name == node:
            found.op = op
            found.attr.clear()
    return source


def test_an_op_that_is_not_known_is_told_with_its_package() -> None:
    found = look(renamed(networks.plain, "dense/add", "Addons>Gelu"))
    assert [(one.op, one.needed, one.example) for one in found.unknown_ops] == [
        ("Addons>Gelu", True, "dense/add")
    ]
    assert found.unknown_ops[0].package is not None
    assert "tensorflow-addons" in found.unknown_ops[0].package
    assert codes(found, "error") == {"unknown_op"}
    assert not found.freeze.ready
    assert found.outputs[0].name == "y_pred:0"
    assert found.parameters.kept > 0


def test_an_unknown_op_that_the_outputs_do_not_need_is_a_note() -> None:
    def build() -> None:
        networks.plain()
        tf.identity(tf.zeros([2]), name="sync")

    found = look(renamed(build, "sync", "HorovodBroadcast"))
    assert found.freeze.ready
    assert "unknown_ops_unused" in codes(found, "note")


def test_a_model_that_writes_files_is_looked_into_and_said_to_be_refused() -> None:
    def build() -> None:
        x = image_placeholder()
        with tf.control_dependencies([tf.io.write_file("x", tf.constant("y"))]):
            dense_softmax(tf.identity(x))

    found = look(build)
    assert "unsafe_graph" in codes(found, "error")
    assert not found.freeze.ready
    assert found.outputs[0].name == "y_pred:0"


@pytest.mark.parametrize("damage", ["input", "dtype"])
def test_a_damaged_graph_is_refused_naming_the_node(damage: str) -> None:
    source = source_of(networks.plain)
    for node in source.graph_def.node:
        if damage == "input" and node.name == "y_pred":
            node.input[0] = "nowhere"
        if damage == "dtype" and node.name == "x":
            node.attr.clear()
    words = "'y_pred' .* takes 'nowhere'" if damage == "input" else "'x' .* has no dtype"
    with pytest.raises(SourceError, match=f"damaged: {words}"):
        look(source)
    with pytest.raises(SourceError, match=f"damaged: {words}"):
        make_plan(source, FreezeRequest.parse({"name": "m", "outputs": ["y_pred"]}))


def test_the_document_keeps_its_shape() -> None:
    document = look(networks.trained).model_dump(mode="json")
    assert list(document) == list(Inspection.model_fields)
    assert Inspection.model_validate(document).model_dump(mode="json") == document


# -- SavedModels of TensorFlow 2 ----------------------------------------------------------------


class Heads(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A network in functions, with what it answers under names of its signature."""

    def __init__(self) -> None:
        self.weights = [tf.Variable(tf.ones([SIDE * SIDE * 3, width])) for width in (4, 2)]

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)])  # type: ignore[untyped-decorator]  # as above
    def one(self, image: Any) -> dict[str, Any]:
        logits = tf.matmul(tf.reshape(image / 255.0, [-1, SIDE * SIDE * 3]), self.weights[0])
        return {"a": logits, "b": tf.nn.softmax(logits), "c": tf.argmax(logits, 1)}

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)])  # type: ignore[untyped-decorator]  # as above
    def two(self, image: Any) -> dict[str, Any]:
        flat_image = tf.reshape(image, [-1, SIDE * SIDE * 3])
        age, gender = (tf.matmul(flat_image, weights) for weights in self.weights)
        return {"age": tf.nn.softmax(age), "gender": tf.sigmoid(gender)}


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads") / "model"
    model = Heads()
    signatures = {"serving_default": model.one, "two": model.two}
    tf.saved_model.save(model, str(folder), signatures=signatures)
    return folder


def test_what_functions_compute_ranks_the_outputs_of_a_signature(heads: Path) -> None:
    found = look(open_source(heads))
    assert found.choice.clear
    assert found.outputs[0].op == "Softmax"
    assert found.outputs[0].reasons[0] == "output 'b' of the signature 'serving_default'"
    decided = next(one for one in found.outputs if one.op == "ArgMax")
    assert decided.name == found.signatures[0].outputs["c"]
    # The graph divides by 255 in a function.
    assert found.preprocessing.fields["scale"] == 1.0


def test_two_answers_of_one_signature_are_listed(heads: Path) -> None:
    source = open_source(heads, SourceChoice(signature="two"))
    found = look(source, signature="two")
    assert not found.choice.clear
    assert {one.op for one in found.outputs[:2]} == {"Softmax", "Sigmoid"}
    assert "no_outputs" in codes(found, "warning")
    with pytest.raises(NoOutputsError):
        make_plan(source, FreezeRequest.parse({"name": "m", "signature": "two"}))
