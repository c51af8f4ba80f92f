"""The shapes that Reshape nodes are given: computed at each run, although they are known."""

from typing import Any

import tensorflow as tf
from tensorflow.python.framework import tensor_util

from freezing.graph.graph import Graph, const_node
from freezing.graph.side_effects import inside_control_flow


def fix_reshapes(graph: Graph) -> None:
    """Give, in place, each Reshape a constant shape where only the number of images is open.

    `reshape(x, [shape(x)[0], 1024])` becomes `reshape(x, [-1, 1024])`. Raises what
    `tf.import_graph_def` does where the graph is not valid.
    """
    inside = inside_control_flow(graph) if graph.has_control_flow else set()
    with tf.Graph().as_default() as imported:
        tf.import_graph_def(graph.to_graph_def(), name="")
        wanted = {
            node.name: shape
            for node in graph
            if node.op == "Reshape" and node.name not in inside
            if (shape := _computed_shape(imported, graph, node)) is not None
        }
    for name, shape in wanted.items():
        node = graph.nodes[name]
        const = const_node(graph.unused_name(f"{name}/fixed_shape"), shape, tf.int32)
        graph.nodes[const.name] = const
        node.input[1] = const.name
        node.attr["Tshape"].type = tf.int32.as_datatype_enum


def _computed_shape(imported: Any, graph: Graph, node: Any) -> list[int] | None:
    """Return the shape that the Reshape computes, with -1 for the one side that is open."""
    if graph.nodes[graph.data_inputs(node.name)[1].node].op == "Const":
        return None
    given = imported.get_operation_by_name(node.name).inputs[1]
    shape = tensor_util.constant_value_as_shape(given)
    if shape.rank is None or shape.as_list().count(None) > 1:
        return None
    return [-1 if side is None else side for side in shape.as_list()]
