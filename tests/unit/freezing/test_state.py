"""Models that keep something from one run to the next: refused where answers depend on it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from freezing.auditing.state import StatefulGraphError
from tests.unit.freezing import networks
from tests.unit.freezing.networks import dense, flat, image_placeholder, v1
from tests.unit.freezing.saved import assert_same_answers, freeze, save

FED = {"is_training:0": False, "keep_prob:0": 1.0}


def finish(hidden: Any) -> None:
    tf.nn.softmax(dense(hidden, 4, "dense"), name="y_pred")


def recurrent() -> None:
    """A state that the next run begins with, as `stateful=True` has it."""
    state = v1.get_variable("state", [1, 192], trainable=False)
    hidden = tf.tanh(flat(image_placeholder()) + state)
    update = v1.assign(state, tf.reduce_mean(hidden, 0, keepdims=True))
    with tf.control_dependencies([update]):
        finish(tf.identity(hidden))


def in_a_function() -> None:
    """The same within a function, whose results do not need the update."""
    state = v1.get_variable("state", [1, 192], trainable=False, use_resource=True)

    def step(x: Any) -> Any:
        hidden = tf.tanh(x + state)
        state.assign(tf.reduce_mean(hidden, 0, keepdims=True))
        return hidden

    finish(tf.reshape(tf.function(step)(flat(image_placeholder())), [-1, 192]))


def counting() -> None:
    """How often it ran decides what it answers."""
    calls = v1.get_variable("calls", [], trainable=False, use_resource=True)
    with tf.control_dependencies([calls.assign_add(1.0)]):
        finish(flat(image_placeholder()) * calls.read_value())


def moving_average() -> None:
    """An average that is used while it moves."""
    x = flat(image_placeholder())
    mean = v1.get_variable("mean", [192], trainable=False)
    update = v1.assign_sub(mean, (mean - tf.reduce_mean(x, 0)) * 0.1)
    with tf.control_dependencies([update]):
        finish(x - mean)


def in_a_loop() -> None:
    """A sum kept in a variable by the body of a loop."""
    total = v1.get_variable("total", [], trainable=False, use_resource=True)
    x = flat(image_placeholder())

    def body(step: Any) -> Any:
        with tf.control_dependencies([total.assign_add(1.0)]):
            return step + 1

    last = v1.while_loop(lambda step: step < 3, body, [0])
    with tf.control_dependencies([last]):
        finish(x * total.read_value())


@pytest.mark.parametrize("build", [recurrent, in_a_function, counting, moving_average, in_a_loop])
def test_a_state_that_answers_depend_on_is_refused(
    tmp_path: Path, build: Callable[[], None]
) -> None:
    saved = save(tmp_path / "source", build)
    with pytest.raises(StatefulGraphError, match=r"'\w+', which .* changes with every run"):
        freeze(saved.folder, tmp_path)


def counter_beside() -> None:
    calls = v1.get_variable("calls", [], trainable=False)
    with tf.control_dependencies([v1.assign_add(calls, 1.0)]):
        finish(flat(image_placeholder()))


def average_beside() -> None:
    """A shadow of the weights is kept up to date and never read."""
    x = flat(image_placeholder())
    average = tf.train.ExponentialMovingAverage(0.9)
    networks.dense(x, 4, "first")
    with tf.control_dependencies([average.apply(v1.trainable_variables())]):
        finish(tf.identity(x))


def initialised_if_need_be() -> None:
    """A variable that is given its first value where it has none, as libraries of layers did."""
    scale = v1.get_variable("scale", [], use_resource=True)

    def first() -> Any:
        with tf.control_dependencies([scale.assign(7.0)]):
            return scale.read_value()

    value = v1.cond(v1.is_variable_initialized(scale), scale.read_value, first)
    finish(flat(image_placeholder()) * value)


@pytest.mark.parametrize("build", [counter_beside, average_beside, initialised_if_need_be])
def test_a_change_that_no_answer_depends_on_goes(tmp_path: Path, build: Callable[[], None]) -> None:
    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    assert not {op for op in frozen.ops if "Assign" in op or "Variable" in op}


@pytest.mark.parametrize("control_flow_v2", [True, False])
def test_what_only_training_changes_is_not_refused(tmp_path: Path, control_flow_v2: bool) -> None:
    saved = save(
        tmp_path / "source",
        partial(networks.with_batch_norm, updates_in_graph=True),
        feeds=FED,
        resource_variables=True,
        control_flow_v2=control_flow_v2,
    )
    values = {"is_training": False, "keep_prob": 1.0}
    assert_same_answers(saved, freeze(saved.folder, tmp_path, set=values))
