"""Softmax, sigmoid and scaling to length 1, written out with simpler ops."""

from typing import Any

import tensorflow as tf

from freezing.graph.graph import Endpoint, Graph

_HANDING_ON = frozenset({"Identity", "StopGradient", "Cast", "CheckNumerics"})
_QUOTIENTS = frozenset({"RealDiv", "Div", "DivNoNan"})
_SUMS = frozenset({"Add", "AddV2"})
_MOST_STEPS = 3  # between a root and the sum of squares under it


def written_out(graph: Graph, name: str) -> str | None:
    """Return the op whose formula ends in a node, as TensorFlow calls it, if there is one.

    exp(x) / sum(exp(x)) is `Softmax`; 1 / (1 + exp(-x)), relu6(x + 3) / 6 and
    clip(a x + 0.5, 0, 1) are `Sigmoid`, two of them hard ones; x / sqrt(sum(x^2)) is `L2Normalize`.
    """
    op, ends = graph.nodes[name].op, graph.data_inputs(name)
    if op in ("Reciprocal", "Inv"):
        return "Sigmoid" if _is_one_plus_exp(graph, ends[0]) else None
    if len(ends) < 2:
        return None
    if op in _QUOTIENTS:
        return _quotient(graph, ends[0], ends[1])
    if op == "Mul":
        return _product(graph, ends[0], ends[1]) or _product(graph, ends[1], ends[0])
    if op in ("Minimum", "Maximum"):
        return "Sigmoid" if _is_hard_sigmoid(graph, op, ends[0], ends[1]) else None
    return None


def _quotient(graph: Graph, above: Endpoint, below: Endpoint) -> str | None:
    upper, lower = graph.nodes[_behind(graph, above)], graph.nodes[_behind(graph, below)]
    if lower.op == "Sum" and graph.data_inputs(lower.name)[0] == above:
        return "Softmax" if upper.op == "Exp" else None
    if _constant(graph, above) == 1.0 and _is_one_plus_exp(graph, below):
        return "Sigmoid"
    if upper.op == "Relu6" and _constant(graph, below) == 6.0:
        return "Sigmoid"
    if lower.op == "Sqrt" and _is_of_squares(graph, lower.name, above):
        return "L2Normalize"
    return None


def _product(graph: Graph, one: Endpoint, other: Endpoint) -> str | None:
    inverse, factor = graph.nodes[_behind(graph, other)], _constant(graph, other)
    if inverse.op == "Rsqrt" and _is_of_squares(graph, inverse.name, one):
        return "L2Normalize"
    is_sixth = factor is not None and abs(factor * 6 - 1) < 1e-3
    return "Sigmoid" if is_sixth and graph.nodes[_behind(graph, one)].op == "Relu6" else None


def _is_hard_sigmoid(graph: Graph, op: str, above: Endpoint, below: Endpoint) -> bool:
    inner = graph.nodes[_behind(graph, above)]
    if inner.op != ("Maximum" if op == "Minimum" else "Minimum"):
        return False
    ends = graph.data_inputs(inner.name)
    added = graph.nodes[_behind(graph, ends[0])]
    if added.op not in _SUMS or {_constant(graph, below), _constant(graph, ends[1])} != {0.0, 1.0}:
        return False
    return 0.5 in [_constant(graph, end) for end in graph.data_inputs(added.name)]


def _is_one_plus_exp(graph: Graph, end: Endpoint) -> bool:
    node = graph.nodes[_behind(graph, end)]
    if node.op not in _SUMS:
        return False
    ends = graph.data_inputs(node.name)
    return any(_constant(graph, one) == 1.0 for one in ends) and any(
        graph.nodes[_behind(graph, one)].op == "Exp" for one in ends
    )


def _is_of_squares(graph: Graph, root: str, end: Endpoint) -> bool:
    """Whether a root is that of the sum of a tensor's squares, which may be kept from 0."""
    inner = graph.data_inputs(root)[0]
    for _ in range(_MOST_STEPS):
        node = graph.nodes[_behind(graph, inner)]
        ends = graph.data_inputs(node.name)
        if node.op == "Sum":
            squares = graph.nodes[_behind(graph, ends[0])]
            squared = {_behind(graph, one) for one in graph.data_inputs(squares.name)}
            return squares.op in ("Square", "Mul") and squared == {_behind(graph, end)}
        if node.op not in _SUMS | {"Maximum"} or len(ends) < 2:
            return False
        inner = ends[0] if _constant(graph, ends[0]) is None else ends[1]
    return False


def _behind(graph: Graph, end: Endpoint) -> str:
    """Return the node behind those that only hand a tensor on as it is."""
    name = end.node
    while graph.nodes[name].op in _HANDING_ON:
        name = graph.data_inputs(name)[0].node
    return name


def _constant(graph: Graph, end: Endpoint) -> float | None:
    """Return what a constant of one number holds."""
    node: Any = graph.nodes[_behind(graph, end)]
    if node.op != "Const" or not tf.as_dtype(node.attr["dtype"].type).is_floating:
        return None
    if any(side.size != 1 for side in node.attr["value"].tensor.tensor_shape.dim):
        return None
    return float(tf.make_ndarray(node.attr["value"].tensor).reshape(-1)[0])
