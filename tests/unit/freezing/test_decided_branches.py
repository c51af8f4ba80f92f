"""Loops, branches and dropout: what stays in a frozen graph, and what is decided and goes."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.verifying.verify import NotDeterministicError
from tests.unit.freezing import networks
from tests.unit.freezing.networks import dense, flat, image_placeholder, v1
from tests.unit.freezing.saved import Saved, assert_same_answers, freeze, save
from worker.errors import FreezeError

INFERENCE = {"is_training": False, "keep_prob": 1.0}


FED = {"is_training:0": False, "keep_prob:0": 1.0}


STATE_OPS = {"VariableV2", "VarHandleOp", "ReadVariableOp", "Assign", "AssignVariableOp"}


BRANCH_OPS = {"Switch", "Merge", "If", "StatelessIf"}


@pytest.mark.parametrize(
    ("updates_in_graph", "resource_variables", "control_flow_v2"),
    # Reference variables cannot be assigned within a branch that is a function.
    [(True, False, False), (True, True, False), (True, True, True), (False, False, True)],
)
def test_batch_norm_and_dropout_driven_by_placeholders(
    tmp_path: Path, updates_in_graph: bool, resource_variables: bool, control_flow_v2: bool
) -> None:
    saved = save(
        tmp_path / "source",
        partial(networks.with_batch_norm, updates_in_graph),
        feeds=FED,
        resource_variables=resource_variables,
        control_flow_v2=control_flow_v2,
    )
    frozen = freeze(saved.folder, tmp_path, set=INFERENCE)
    assert_same_answers(saved, frozen)
    assert not frozen.ops & (STATE_OPS | BRANCH_OPS | {"RandomUniform", "Placeholder_1"})
    names = {row["name"] for row in frozen.outcome["layers"]}
    assert {"conv/norm/mean", "conv/norm/variance", "conv/norm/gamma"} <= names
    assert not [warning for warning in frozen.outcome["warnings"] if "random" in warning]


def test_a_default_of_a_placeholder_stands_for_its_value(tmp_path: Path) -> None:
    def build() -> None:
        x = image_placeholder()
        is_training = v1.placeholder_with_default(False, [], name="is_training")
        hidden = networks.batch_norm(x, is_training, updates_in_graph=True)
        tf.nn.softmax(dense(flat(hidden), 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    assert not frozen.ops & BRANCH_OPS
    assert any("is_training" in warning for warning in frozen.outcome["warnings"])


def test_dropout_of_tensorflow_before_1_13_goes_too(tmp_path: Path) -> None:
    def build() -> None:
        hidden = flat(image_placeholder())
        keep_prob = v1.placeholder(tf.float32, name="keep_prob")
        noise = keep_prob + v1.random_uniform(tf.shape(hidden))
        hidden = tf.reshape(tf.divide(hidden, keep_prob) * tf.floor(noise), [-1, 192])
        tf.nn.softmax(dense(hidden, 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build, feeds={"keep_prob:0": 1.0})
    frozen = freeze(saved.folder, tmp_path, set={"keep_prob": 1.0})
    assert_same_answers(saved, frozen)
    assert not frozen.ops & {"RandomUniform", "Floor", "RealDiv", "Mul"}


def test_dropout_that_stays_on_is_refused_with_what_to_set(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.with_batch_norm, feeds=FED)
    with pytest.raises(NotDeterministicError, match=r"--set keep_prob=1\.0"):
        freeze(saved.folder, tmp_path, set={"is_training": False, "keep_prob": 0.5})


@pytest.mark.parametrize("age", ["before 1.13", "now"])
def test_dropout_that_was_left_on_is_turned_off_and_told(tmp_path: Path, age: str) -> None:
    def build() -> None:
        hidden = flat(image_placeholder())
        if age == "now":
            hidden = v1.nn.dropout(hidden, rate=0.25)
        else:
            keep_prob = tf.constant(0.75, name="dropout/keep_prob")
            mask = tf.floor(keep_prob + v1.random_uniform(tf.shape(hidden)))
            hidden = tf.reshape(tf.divide(hidden, keep_prob) * mask, [-1, 192])
        tf.nn.softmax(dense(hidden, 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert any("Dropout was left on" in warning for warning in frozen.outcome["warnings"])
    assert "RandomUniform" not in frozen.ops
    weights, biases = (value(saved, f"dense/{name}") for name in ("weights", "biases"))
    powers = np.exp(saved.images.reshape(-1, 192) @ weights + biases)
    np.testing.assert_allclose(
        frozen.answers(saved.images)[0], powers / powers.sum(1, keepdims=True), rtol=1e-4
    )


def value(saved: Saved, name: str) -> Any:
    return tf.train.load_checkpoint(str(saved.prefix)).get_tensor(name)


@pytest.mark.parametrize("control_flow_v2", [True, False])
@pytest.mark.parametrize("resource_variables", [True, False])
def test_a_while_loop_survives(
    tmp_path: Path, control_flow_v2: bool, resource_variables: bool
) -> None:
    def build() -> None:
        x = flat(image_placeholder())
        scale = v1.get_variable("scale", [192])

        def body(step: Any, total: Any) -> tuple[Any, Any]:
            return step + 1, tf.tanh(total * scale + 0.5)

        rounds = tf.cast(tf.reduce_max(x) * 3, tf.int32) + 2
        looped = v1.while_loop(lambda step, _: step < rounds, body, [0, x])[1]
        tf.nn.softmax(dense(looped, 4, "dense"), name="y_pred")

    saved = save(
        tmp_path / "source",
        build,
        control_flow_v2=control_flow_v2,
        resource_variables=resource_variables,
    )
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    assert not frozen.ops & STATE_OPS


@pytest.mark.parametrize("control_flow_v2", [True, False])
@pytest.mark.parametrize("resource_variables", [True, False])
def test_a_branch_that_depends_on_the_image_survives_with_its_constants(
    tmp_path: Path, control_flow_v2: bool, resource_variables: bool
) -> None:
    """The second branch is nothing but a constant, which must not come if the first is taken."""

    def build() -> None:
        x = flat(image_placeholder())
        bright = tf.reduce_mean(x) > 0.5
        scale = v1.get_variable("scale", [])
        factor = v1.cond(bright, lambda: scale * 2.0, lambda: tf.constant(0.25))
        tf.nn.softmax(dense(x * factor, 4, "dense"), name="y_pred")

    saved = save(
        tmp_path / "source",
        build,
        control_flow_v2=control_flow_v2,
        resource_variables=resource_variables,
    )
    frozen = freeze(saved.folder, tmp_path)
    assert frozen.ops & BRANCH_OPS
    for brightness in (0.1, 0.9):
        images = np.full([2, 8, 8, 3], brightness, np.float32)
        with tf.Graph().as_default(), v1.Session() as session:
            restored = v1.train.import_meta_graph(f"{saved.prefix}.meta")
            restored.restore(session, str(saved.prefix))
            expected = session.run("y_pred:0", {"x:0": images})
        np.testing.assert_allclose(frozen.answers(images)[0], expected, atol=1e-5)


def test_an_assertion_in_a_branch_goes_and_the_branch_stays(tmp_path: Path) -> None:
    def build() -> None:
        x = flat(image_placeholder())

        def checked() -> Any:
            with tf.control_dependencies([v1.assert_non_negative(x)]):
                return tf.constant(2.0)

        factor = v1.cond(tf.reduce_mean(x) > 0.5, checked, lambda: tf.constant(0.25))
        tf.nn.softmax(dense(x * factor, 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert "Assert" not in frozen.ops
    low, high = (frozen.answers(np.full([1, 8, 8, 3], b, np.float32))[0] for b in (0.1, 0.9))
    assert not np.allclose(low, high)
    assert_same_answers(saved, frozen)


def test_nested_branches_are_decided_from_the_outside_in(tmp_path: Path) -> None:
    def build() -> None:
        x = flat(image_placeholder())
        is_training = v1.placeholder(tf.bool, [], name="is_training")
        a, b, c = (v1.get_variable(name, []) for name in "abc")
        factor = v1.cond(
            is_training, lambda: a * 1.0, lambda: v1.cond(is_training, lambda: b * 1, lambda: c * 1)
        )
        tf.nn.softmax(dense(x * factor, 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build, feeds={"is_training:0": False})
    frozen = freeze(saved.folder, tmp_path, set={"is_training": False})
    assert_same_answers(saved, frozen)
    assert not frozen.ops & BRANCH_OPS
    names = [row["name"] for row in frozen.outcome["layers"]]
    assert names == ["c", "dense/weights", "dense/biases"]


@pytest.mark.parametrize("control_flow_v2", [True, False])
def test_a_loop_in_a_branch_that_is_never_taken_goes_with_it(
    tmp_path: Path, control_flow_v2: bool
) -> None:
    def build() -> None:
        x = flat(image_placeholder())
        is_training = v1.placeholder(tf.bool, [], name="is_training")

        def looped() -> Any:
            return v1.while_loop(lambda i, _: i < 3, lambda i, t: (i + 1, t * 2.0), [0, x])[1]

        hidden = v1.cond(is_training, looped, lambda: tf.identity(x))
        tf.nn.softmax(dense(tf.reshape(hidden, [-1, 192]), 4, "dense"), name="y_pred")

    feeds = {"is_training:0": False}
    saved = save(tmp_path / "source", build, feeds=feeds, control_flow_v2=control_flow_v2)
    frozen = freeze(saved.folder, tmp_path, set={"is_training": False})
    assert_same_answers(saved, frozen)
    assert not frozen.ops & (BRANCH_OPS | {"Enter", "Exit", "NextIteration", "LoopCond"})
    taken = freeze(saved.folder, tmp_path, set={"is_training": True})
    assert not taken.ops & {"If", "StatelessIf", "While", "StatelessWhile"}


def test_a_branch_inside_a_loop_is_decided_too(tmp_path: Path) -> None:
    def build() -> None:
        x = flat(image_placeholder())
        is_training = v1.placeholder(tf.bool, [], name="is_training")
        scale = v1.get_variable("scale", [])

        def body(step: Any, total: Any) -> tuple[Any, Any]:
            noisy = v1.cond(
                is_training,
                lambda: total + v1.random_uniform(tf.shape(total)),
                lambda: total * scale,
            )
            return step + 1, tf.reshape(noisy, tf.shape(total))

        looped = v1.while_loop(lambda step, _: step < 3, body, [0, x])[1]
        tf.nn.softmax(dense(tf.reshape(looped, [-1, 192]), 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build, feeds={"is_training:0": False})
    frozen = freeze(saved.folder, tmp_path, set={"is_training": False})
    assert_same_answers(saved, frozen)
    assert "RandomUniform" not in frozen.ops


def test_an_output_in_a_branch_that_is_not_taken_is_refused(tmp_path: Path) -> None:
    def build() -> None:
        networks.plain()
        x = v1.get_default_graph().get_tensor_by_name("x:0")
        is_training = v1.placeholder(tf.bool, [], name="is_training")
        v1.cond(is_training, lambda: tf.identity(flat(x), name="inside"), lambda: flat(x))

    saved = save(tmp_path / "source", build)
    names = [node.name for node in _nodes(saved)]
    inside = next(name for name in names if name.endswith("inside"))
    with pytest.raises(FreezeError, match="not taken"):
        freeze(saved.folder, tmp_path, outputs=["y_pred", inside], set={"is_training": False})


def _nodes(saved: Saved) -> Any:
    meta = v1.MetaGraphDef()
    meta.ParseFromString(Path(f"{saved.prefix}.meta").read_bytes())
    return meta.graph_def.node
