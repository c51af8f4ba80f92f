"""What an inspection takes as input and output, and that a freeze does the same."""

import pytest
import tensorflow as tf

from freezing.choosing.plan import NoOutputsError, make_plan
from tests.unit.freezing import networks
from tests.unit.freezing.looking import Build, codes, look
from tests.unit.freezing.networks import dense, flat, image_placeholder, v1
from tests.unit.freezing.test_choosing import source_of
from tests.unit.freezing.usual_networks import (
    argmax_beside,
    attention_inside,
    early_heads,
    inception_2015,
    keras_with_learning_phase,
    layers_with_queue,
    logits_only,
    numbers_behind_the_image,
    one_sigmoid,
    slim_batch_norm,
    slim_mobilenet,
    softmax_written_out,
    squared_loss,
    training_and_evaluation_copy,
    two_answers,
    two_towers,
)
from worker.contract.source_requests import FreezeRequest

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
