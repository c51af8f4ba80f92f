"""Placeholders, and the values that an inspection says to set."""

import pytest
import tensorflow as tf

from freezing.choosing.plan import make_plan
from tests.unit.freezing import networks
from tests.unit.freezing.looking import codes, look
from tests.unit.freezing.networks import SIDE, dense, flat, v1
from tests.unit.freezing.test_choosing import source_of
from tests.unit.freezing.usual_networks import (
    keras_with_learning_phase,
    layers_with_queue,
    numbers_behind_the_image,
    squared_loss,
)
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError


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
