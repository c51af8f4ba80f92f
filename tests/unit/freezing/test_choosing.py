"""Names, outputs, inputs and values: found, suggested, or refused in one sentence."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.choosing.candidates import output_candidates
from freezing.choosing.inputs import UnsetPlaceholdersError
from freezing.choosing.plan import NoOutputsError, Plan, make_plan
from freezing.graph.constants import as_array
from freezing.graph.content import Content, Contents, Trace
from freezing.graph.flow import Flow
from freezing.graph.graph import Endpoint, Graph
from freezing.graph.names import nearest
from freezing.sources.source import Loss, Source
from freezing.verifying.score_kind import check_labels, resolve_scores
from tests.unit.freezing import networks
from tests.unit.freezing.networks import dense, flat, image_placeholder, v1
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError, UnknownNodeError


def plan(build: Callable[[], None], **fields: Any) -> Plan:
    return make_plan(source_of(build), FreezeRequest.parse({"name": "model", **fields}))


def source_of(build: Callable[[], None]) -> Source:
    v1.disable_resource_variables()
    v1.disable_control_flow_v2()
    with tf.Graph().as_default() as graph:
        build()
        graph_def = graph.as_graph_def()
    return Source(
        kind="checkpoint",
        name="model",
        graph_def=graph_def,
        values=None,  # type: ignore[arg-type]  # not needed to plan
        files=(),
        producer="",
    )


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["y_pred", "y_pred:0", " y_pred "])
def test_a_name_may_have_its_output_number(name: str) -> None:
    assert plan(networks.plain, outputs=[name]).outputs[0].name == "y_pred:0"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("y_prd", "Did you mean y_pred?"),
        ("Y_PRED", "Did you mean y_pred"),
        ("weights", "dense/weights"),
        ("dense", "It is a scope of"),
        ("something_else", "Likely candidates: y_pred."),
        ("y_pred:1", r"y_pred \(Softmax\) has 1 output\(s\), the last is y_pred:0"),
    ],
)
def test_a_wrong_output_is_answered_with_the_nearest_names(name: str, words: str) -> None:
    with pytest.raises(UnknownNodeError, match=words):
        plan(networks.plain, outputs=[name])


def test_a_node_without_output_is_no_output() -> None:
    with pytest.raises(UnknownNodeError, match="'train' is a NoOp, which has no output"):
        plan(networks.trained, outputs=["train"])


@pytest.mark.parametrize("field", [{"inputs": ["xx"]}, {"set": {"keep_prop": 1.0}}])
def test_a_wrong_input_or_value_is_named(field: dict[str, Any]) -> None:
    with pytest.raises(UnknownNodeError, match=r"'(xx|keep_prop)'"):
        plan(networks.plain, outputs=["y_pred"], **field)


def test_nearest_prefers_the_same_name_in_another_scope() -> None:
    known = ["tower/y_pred", "y_prod", "x"]
    assert nearest("y_pred", known)[0] == "tower/y_pred"


# -- outputs ------------------------------------------------------------------------------------


def test_the_only_softmax_is_chosen_and_told() -> None:
    chosen = plan(networks.trained)
    assert chosen.outputs[0].name == "y_pred:0"
    assert "y_pred" in chosen.warnings[0]


def test_logits_are_found_behind_the_loss() -> None:
    def build() -> None:
        networks.train(
            tf.identity(dense(flat(image_placeholder()), 4, "dense"), name="logits"),
            v1.train.GradientDescentOptimizer(0.1),
        )

    assert output_candidates(Graph(source_of(build).graph_def)) == ["dense/add"]


def test_a_softmax_inside_does_not_compete_with_the_last_one() -> None:
    def build() -> None:
        x = flat(image_placeholder())
        attention = tf.nn.softmax(dense(x, 192, "attention"), name="attention/weights_of")
        tf.nn.softmax(dense(x * attention, 4, "dense"), name="y_pred")

    assert plan(build).outputs[0].name == "y_pred:0"


@pytest.mark.parametrize("loss", [True, False])
def test_a_gate_inside_is_not_taken_for_the_answer(loss: bool) -> None:
    def build() -> None:
        x = flat(image_placeholder())
        gate = tf.sigmoid(dense(x, 192, "gate"))
        logits = dense(x * gate, 4, "dense")
        if loss:
            networks.train(logits, v1.train.GradientDescentOptimizer(0.1))

    assert output_candidates(Graph(source_of(build).graph_def)) == ["dense/add"]


def test_a_loss_written_by_hand_does_not_hide_the_answer() -> None:
    def build() -> None:
        y_pred = tf.nn.softmax(dense(flat(image_placeholder()), 4, "dense"), name="y_pred")
        y_true = v1.placeholder(tf.float32, [None, 4], name="y_true")
        loss = -tf.reduce_mean(y_true * tf.math.log(y_pred)) + 0.0
        v1.train.GradientDescentOptimizer(0.1).minimize(loss)

    assert output_candidates(Graph(source_of(build).graph_def)) == ["y_pred"]


def test_two_answers_are_listed() -> None:
    def build() -> None:
        x = flat(image_placeholder())
        tf.nn.softmax(dense(x, 4, "main"), name="main_pred")
        tf.nn.softmax(dense(x, 4, "aux"), name="aux_pred")

    with pytest.raises(
        NoOutputsError, match=r"main_pred, aux_pred.*`--output main_pred` .4 numbers"
    ):
        plan(build)


def test_a_graph_without_an_answer_says_so() -> None:
    with pytest.raises(NoOutputsError, match="nothing in the graph looks like one"):
        plan(lambda: v1.get_variable("alone", [3]))


# -- inputs and values --------------------------------------------------------------------------


def test_placeholders_without_a_value_are_named_with_one_to_try() -> None:
    with pytest.raises(UnsetPlaceholdersError) as refused:
        plan(networks.with_batch_norm, outputs=["y_pred"])
    assert "--set is_training=false" in refused.value.message
    assert "--set keep_prob=1.0" in refused.value.message
    with pytest.raises(UnsetPlaceholdersError, match="keep_prob") as refused:
        plan(networks.with_batch_norm, outputs=["y_pred"], set={"is_training:0": False})
    assert "is_training" not in refused.value.message


def test_an_output_that_needs_labels_is_refused_with_their_placeholder() -> None:
    with pytest.raises(UnsetPlaceholdersError, match=r"y_true.*does not need labels"):
        plan(networks.trained, outputs=["accuracy"])


def test_shapes_that_old_graphs_keep_beside_the_node_are_found() -> None:
    """TensorFlow 0.12 wrote an empty shape for [None, 8, 8, 3] and for no shape at all."""
    source = source_of(networks.with_batch_norm)
    source.graph_def.versions.producer = 21
    for node in source.graph_def.node:
        if node.op == "Placeholder":
            known = tf.compat.v1.AttrValue(shape=node.attr["shape"].shape)
            node.attr["shape"].shape.Clear()
            if node.name == "x":
                node.attr["_output_shapes"].list.shape.append(known.shape)
    values = {"is_training": False, "keep_prob": 1.0}
    request = FreezeRequest.parse({"name": "model", "outputs": ["y_pred"], "set": values})
    chosen = make_plan(source, request)
    assert chosen.input.name == "x:0"
    assert chosen.input.shape == [None, 8, 8, 3]


def test_placeholders_that_outputs_do_not_need_do_not_matter() -> None:
    chosen = plan(networks.trained, outputs=["y_pred"])
    assert chosen.input.name == "x:0"
    assert chosen.input.shape == [None, 8, 8, 3]
    assert chosen.input.dtype == "float32"


def test_a_value_for_what_outputs_do_not_need_is_told() -> None:
    def build() -> None:
        networks.plain()
        v1.placeholder(tf.float32, [], name="keep_prob")

    chosen = plan(build, outputs=["y_pred"], set={"keep_prob": 1.0})
    assert any("keep_prob" in warning for warning in chosen.warnings)


def test_an_input_that_outputs_do_not_need_is_refused() -> None:
    with pytest.raises(FreezeError, match="do not depend on the input 'y_true'"):
        plan(networks.trained, outputs=["y_pred"], inputs=["y_true"])


def test_two_images_are_refused_until_one_is_named() -> None:
    def build() -> None:
        first = flat(image_placeholder())
        second = flat(v1.placeholder(tf.float32, [None, 8, 8, 3], name="second"))
        tf.nn.softmax(dense(first + second, 4, "dense"), name="y_pred")

    with pytest.raises(UnsetPlaceholdersError, match=r"x .*second .*--input"):
        plan(build, outputs=["y_pred"])
    with pytest.raises(UnsetPlaceholdersError, match="second"):
        plan(build, outputs=["y_pred"], inputs=["x"])
    with pytest.raises(FreezeError, match="takes one image"):
        plan(build, outputs=["y_pred"], inputs=["x", "second"])


def test_any_tensor_can_be_set() -> None:
    chosen = plan(networks.plain, outputs=["y_pred"], set={"dense/biases/read": [1, 2, 3, 4]})
    np.testing.assert_array_equal(chosen.values["dense/biases/read"], [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("value", "dtype", "shape", "expected"),
    [
        (1, tf.float32, [], 1.0),
        (0.5, tf.float16, None, 0.5),
        (False, tf.bool, [], False),
        (0, tf.bool, [], False),
        (3.0, tf.int32, [], 3),
        ([1, 2.5], tf.float32, [None], [1, 2.5]),
    ],
)
def test_a_value_takes_the_type_of_its_tensor(
    value: Any, dtype: Any, shape: Any, expected: Any
) -> None:
    array = as_array("p", value, dtype.as_datatype_enum, tf.TensorShape(shape))
    assert array.dtype == dtype.as_numpy_dtype
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("value", "dtype", "shape", "words"),
    [
        (True, tf.float32, [], "true is not of type float32"),
        (0.5, tf.int32, [], "int32"),
        (2, tf.bool, [], "bool"),
        (300, tf.uint8, [], "uint8"),
        (1e30, tf.float16, [], "too large for float16"),
        (1.0, tf.float32, [2], r"shape \(2,\).*\(\)"),
        ([1, 2], tf.float32, [], r"shape \(\).*\(2,\)"),
        ([[1], [2, 3]], tf.float32, None, "same length"),
        (1, tf.string, [], "string"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    value: Any, dtype: Any, shape: Any, words: str
) -> None:
    with pytest.raises(FreezeError, match=words):
        as_array("p", value, dtype.as_datatype_enum, tf.TensorShape(shape))


# -- scores and labels --------------------------------------------------------------------------


def trace_of(build: Callable[[Any], Any]) -> Trace:
    """Return what the last node is made of that `build` makes of the numbers of a layer."""
    with tf.Graph().as_default() as graph:
        build(tf.identity(dense(flat(image_placeholder()), 4, "dense")))
        made = Graph(graph.as_graph_def())
        return Contents(Flow(made)).trace(Endpoint(list(made.nodes)[-1], 0))


def written_out_softmax(logits: Any) -> Any:
    powers = tf.exp(logits)
    return tf.divide(powers, tf.reduce_sum(powers, 1, keepdims=True))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (tf.nn.softmax, "softmax"),
        (lambda logits: tf.identity(tf.reshape(tf.nn.softmax(logits), [-1, 4])), "softmax"),
        (written_out_softmax, "softmax"),
        (lambda logits: tf.add_n([tf.nn.softmax(logits), tf.nn.softmax(-logits)]) / 2.0, "softmax"),
        (lambda logits: tf.cast(tf.sigmoid(logits), tf.float16), "sigmoid"),
        (lambda logits: 1.0 / (1.0 + tf.exp(-logits)), "sigmoid"),
        (lambda logits: tf.nn.relu6(logits + 3.0) * (1 / 6), "sigmoid"),
        (lambda logits: tf.clip_by_value(0.2 * logits + 0.5, 0.0, 1.0), "sigmoid"),
        (lambda logits: 1.0 - tf.sigmoid(logits), "sigmoid"),
        (tf.nn.log_softmax, "log softmax"),
        (lambda logits: logits + 1.0, "linear"),
        (lambda logits: tf.clip_by_value(logits, 0.0, 1.0), "linear"),
        (tf.nn.relu, "activation"),
        (lambda logits: logits * tf.sigmoid(logits), "activation"),
        (lambda logits: tf.math.l2_normalize(logits, 1), "unit"),
    ],
)
def test_what_a_tensor_holds_is_told_by_how_it_is_computed(
    build: Callable[[Any], Any], expected: str
) -> None:
    assert trace_of(build).content == expected


LOGITS = np.array([[1.0, -2.0], [0.5, 3.0]])
SHARES = np.array([[0.25, 0.75], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("asked", "content", "rows", "expected", "told"),
    [
        (None, "softmax", SHARES, "probabilities", ""),
        (None, "softmax", SHARES * 3, "probabilities", "sum to between 3 and 3|go from"),
        (None, "softmax", SHARES**2, "probabilities", "sum to between 0.5 and 0.62"),
        (None, "sigmoid", SHARES**2, "probabilities", ""),
        (None, "sigmoid", LOGITS, "probabilities", "go from -2 to 3"),
        ("logits", "softmax", SHARES, "probabilities", "holds probabilities already"),
        ("sigmoid", "sigmoid", SHARES, "probabilities", "holds probabilities already"),
        ("sigmoid", "linear", LOGITS, "sigmoid", ""),
        ("probabilities", "linear", LOGITS, "probabilities", ""),
        (None, "linear", LOGITS, "logits", "assumed.*put through softmax.*--scores"),
        (None, "linear", SHARES, "probabilities", "assumed.*sum to 1.*--scores"),
        (None, "linear", LOGITS[:, :1], "sigmoid", "assumed.*logistic function.*--scores"),
        (None, "log softmax", np.log(SHARES), "logits", ""),
    ],
)
def test_what_serving_must_do_with_the_scores(
    asked: Any, content: Any, rows: Any, expected: str, told: str
) -> None:
    warnings: list[str] = []
    answer = Trace(sources={"node": Content(content)})
    assert resolve_scores(asked, answer, rows, warnings) == expected
    assert bool(warnings) == bool(told)
    assert re.search(told, " ".join(warnings))


@pytest.mark.parametrize(
    ("loss", "columns", "expected"),
    [
        ("BinaryCrossentropy", 1, "sigmoid"),
        ("binary_crossentropy", 2, "sigmoid"),
        ("SparseCategoricalCrossentropy", 2, "logits"),
    ],
)
def test_the_loss_of_the_training_says_what_scores_are(
    loss: str, columns: int, expected: str
) -> None:
    warnings: list[str] = []
    answer, rows = Trace(sources={"node": Content.LINEAR}), LOGITS[:, :columns]
    assert resolve_scores(None, answer, rows, warnings, loss=Loss(name=loss)) == expected
    assert loss in warnings[0]


def test_a_wrong_number_of_labels_says_both_numbers() -> None:
    check_labels(["a", "b"], 2, "y:0")
    check_labels(["a", "b"], 1, "y:0")
    check_labels(None, 7, "y:0")
    with pytest.raises(FreezeError, match=r"3 labels.*y:0 has 2 scores") as refused:
        check_labels(["a", "b", "c"], 2, "y:0")
    assert refused.value.code == "label_count"
