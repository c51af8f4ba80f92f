"""The shape of an input that does not say: told by what takes it."""

from typing import Any

import tensorflow as tf

from freezing.graph.graph import VARIABLE_OPS, Graph

_PASSING = frozenset({"Identity", "Cast", "StopGradient", "ReadVariableOp"})
_PRODUCTS = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2"})
_CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative"})


def narrow_input(graph: Graph, name: str) -> None:
    """Give, in place, the placeholder `name` the shape that its takers demand.

    Only where its own says nothing at all, and where all takers agree. A Reshape takes any shape
    of as many numbers; the one that it makes is the one with meaning.
    """
    node = graph.nodes[name]
    if "shape" in node.attr and not node.attr["shape"].shape.unknown_rank:
        return
    demanded = _demanded(graph, name, graph.consumers())
    first = demanded[0] if demanded else None
    if first is not None and all(shape == first for shape in demanded):
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(first).as_proto())


def _demanded(
    graph: Graph, name: str, consumers: dict[str, list[str]]
) -> list[list[int | None] | None]:
    """Return the shape that each taker needs; None for one that takes more than one shape."""
    found: list[list[int | None] | None] = []
    for taker in consumers[name]:
        node = graph.nodes[taker]
        ends = graph.data_inputs(taker)
        if not any(end.node == name for end in ends):
            continue
        if node.op in _PASSING:
            found += _demanded(graph, taker, consumers)
        elif ends[0].node == name and len(ends) > 1:
            found.append(_by_op(graph, node, ends[1].node))
        else:
            found.append(None)
    return found


def _by_op(graph: Graph, node: Any, other: str) -> list[int | None] | None:
    """Return the shape of the node's first input, from what its second one is."""
    if node.op == "Reshape":
        source = graph.nodes[other]
        sides = tf.make_ndarray(source.attr["value"].tensor) if source.op == "Const" else []
        shape = [int(side) for side in sides]
        if len(shape) in (2, 4) and shape[0] in (-1, 1) and min(shape[1:]) > 0:
            return [None if shape[0] < 0 else shape[0], *shape[1:]]
        return None
    weights = _shape(graph, other)
    if weights is None:
        return None
    if node.op in _PRODUCTS and len(weights) == 2 and not _is_set(node, "transpose_a", "adj_x"):
        return [None, weights[1 if _is_set(node, "transpose_b", "adj_y") else 0]]
    if node.op in _CONVOLUTIONS and len(weights) == 4:
        channels = weights[2]
        first = "data_format" in node.attr and node.attr["data_format"].s == b"NCHW"
        return [None, channels, None, None] if first else [None, None, None, channels]
    return None


def _is_set(node: Any, *names: str) -> bool:
    return any(node.attr[name].b for name in names if name in node.attr)


def _shape(graph: Graph, name: str) -> list[int | None] | None:
    node = graph.nodes[name]
    while node.op in _PASSING and node.input:
        node = graph.nodes[graph.data_inputs(node.name)[0].node]
    if node.op == "Const":
        shape = tf.TensorShape(node.attr["value"].tensor.tensor_shape)
    elif node.op in VARIABLE_OPS and "shape" in node.attr:
        shape = tf.TensorShape(node.attr["shape"].shape)
    else:
        return None
    return None if shape.rank is None else shape.as_list()
