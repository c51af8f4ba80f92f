"""Graphs that TensorFlow 1 froze badly: constants where branches and updates expect variables."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.graph.ranges import settle_ranges
from freezing.graph.variable_uses import mend_leftovers
from tests.unit.freezing.networks import v1
from tests.unit.freezing.saved import freeze


def network() -> None:
    """A network with a moving average that a branch for training updates, as of FaceNet."""
    images = v1.placeholder(tf.float32, [None, 4, 4, 3], "x")
    training = v1.placeholder_with_default(False, [], "phase_train")
    flat = tf.reshape(images, [-1, 48])
    mean = v1.get_variable("moving_mean", [48], initializer=v1.random_uniform_initializer(0.1, 0.9))

    def batch_statistics() -> Any:
        update = v1.assign_sub(mean, 0.1 * (mean - tf.reduce_mean(flat, 0)))
        with tf.control_dependencies([update]):
            return tf.identity(tf.reduce_mean(flat, 0))

    center = v1.cond(training, batch_statistics, lambda: tf.identity(mean))
    dense = v1.get_variable("dense", [48, 3], initializer=v1.random_uniform_initializer(-1, 1))
    tf.nn.softmax((flat - center) @ dense, name="y_pred")


def frozen_badly(folder: Path, resource: bool) -> tuple[Path, Any, Any]:
    """Write a graph of which the variables alone were made constants; return images and answers."""
    v1.enable_resource_variables() if resource else v1.disable_resource_variables()
    v1.disable_control_flow_v2()
    images = np.random.default_rng(1).uniform(0, 1, (4, 4, 4, 3)).astype(np.float32)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        network()
        session.run(v1.global_variables_initializer())
        answers = session.run("y_pred:0", {"x:0": images})
        graph_def = graph.as_graph_def()
        values = {one.op.name: session.run(one) for one in v1.global_variables()}
    for node in graph_def.node:
        if node.name in values:
            constant = tf.make_tensor_proto(values[node.name])
            del node.input[:]
            node.op = "Const"
            node.attr.clear()
            node.attr["dtype"].type = constant.dtype
            node.attr["value"].tensor.CopyFrom(constant)
    (folder / "frozen.pb").write_bytes(graph_def.SerializeToString())
    return folder / "frozen.pb", images, answers


@pytest.mark.parametrize("resource", [False, True])
def test_a_graph_that_tensorflow_refuses_is_frozen(tmp_path: Path, resource: bool) -> None:
    path, images, answers = frozen_badly(tmp_path, resource)
    with pytest.raises(ValueError, match=r"incompatible with expected (float_ref|resource)"):
        tf.import_graph_def(v1.GraphDef.FromString(path.read_bytes()), name="")
    frozen = freeze(path, tmp_path)
    np.testing.assert_allclose(frozen.answers(images)[0], answers, atol=1e-6)
    assert not [op for op in frozen.ops if op.startswith(("Ref", "Assign", "ReadVariable"))]


@pytest.mark.parametrize("resource", [False, True])
def test_what_has_its_variables_stays_as_it_is(resource: bool) -> None:
    v1.enable_resource_variables() if resource else v1.disable_resource_variables()
    with tf.Graph().as_default() as graph:
        network()
    graph_def = graph.as_graph_def()
    before = v1.GraphDef.FromString(graph_def.SerializeToString())
    assert mend_leftovers(graph_def) == 0
    assert graph_def == before


def test_ranges_of_quantisation_are_taken_as_they_are_stored() -> None:
    """As `create_eval_graph` does; the update stays for those who ask for it, which nobody does."""
    v1.disable_resource_variables()
    with tf.Graph().as_default() as graph:
        images = v1.placeholder(tf.float32, [None, 4], "x")
        low, high = (v1.get_variable(name, [], initializer=v1.zeros_initializer()) for name in "lh")
        updated = [v1.assign_sub(low, 0.1), tf.identity(v1.assign(high, tf.reduce_max(images)))]
        tf.quantization.fake_quant_with_min_max_vars(images, *updated, name="y")
        tf.quantization.fake_quant_with_min_max_vars(images, -1.0, 1.0, name="fixed")
    graph_def = graph.as_graph_def()
    assert settle_ranges(graph_def) == 2
    nodes = {node.name: node for node in graph_def.node}
    assert list(nodes["y"].input) == ["x", "l", "h"]
    assert settle_ranges(graph_def) == 0
