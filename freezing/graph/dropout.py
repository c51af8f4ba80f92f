"""Dropout: taken out of the graph where it lets everything through, and found where it does not.

A dropout multiplies by a mask that is `floor(keep_prob + random)` in graphs from before
TensorFlow 1.13 and `random >= rate` in later ones. With `keep_prob` 1 (`rate` 0) the mask is 1,
and TensorFlow would still draw the random numbers for every image. What a random number can be is
known, and so is what such an expression must give.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from freezing.graph.graph import Endpoint, Graph, const_node, make_identity

_ARITHMETIC = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "RealDiv": np.divide,
    "Div": np.divide,
}
UNIFORM_OPS = frozenset({"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"})
_DIVISIONS = frozenset({"RealDiv", "Div"})
_COMPARISONS = frozenset({"GreaterEqual", "LessEqual"})
_HANDING_ON = frozenset({"Identity", "StopGradient"})
_UNDERSTOOD = _ARITHMETIC.keys() | _COMPARISONS | _HANDING_ON | {"Floor", "Cast"}
Range = tuple[Any, Any]  # the least and the largest value that any element can have


def remove_idle_dropout(graph: Graph) -> None:
    """Simplify, in place, dropouts whose mask is all ones; without branches and loops only."""
    if graph.has_control_flow or not any(node.op in UNIFORM_OPS for node in graph):
        return
    known = ranges(graph)
    scalars = _fold_scalars(graph, known)
    ones = {name for name, (low, high) in known.items() if low == 1 and high == 1}
    for node in graph:
        kept = None if node.name in scalars else _kept(graph, node, ones, scalars)
        if kept is not None:
            make_identity(node, kept, node.attr["T"].type)


def suggested_values(
    graph: Graph, random: str, consumers: dict[str, list[str]] | None = None
) -> dict[str, float]:
    """Return what to set so that the dropout that draws `random` lets everything through.

    By name of the constant or placeholder; empty where it does not look like a dropout. Whoever
    asks for many hands in the graph's `consumers`.
    """
    consumers = graph.consumers() if consumers is None else consumers
    ahead = [random]
    for name in ahead:
        for taker in consumers[name]:
            node = graph.nodes[taker]
            others = [end for end in graph.data_inputs(taker) if end.node not in ahead]
            if node.op in ("Add", "AddV2") and any(
                graph.nodes[next_taker].op == "Floor" for next_taker in consumers[taker]
            ):
                return _values(graph, others, keep=True)
            if node.op == "GreaterEqual":
                scales = _scales(graph, taker, consumers)
                return _values(graph, others, keep=False) | scales
            if node.op in _ARITHMETIC and len(ahead) < 8:
                ahead.append(taker)
    return {}


def _kept(graph: Graph, node: Any, ones: set[str], scalars: set[str]) -> Endpoint | None:
    """Return the input that the node gives unchanged, if it does."""
    inputs = graph.data_inputs(node.name)
    if node.op == "Mul":
        for one, other in (inputs, inputs[::-1]):
            if one.node in ones:
                return other
    if node.op in _DIVISIONS and inputs[1].node in ones & scalars:
        return inputs[0]
    if node.op in ("Select", "SelectV2") and inputs[0].node in ones:
        return inputs[1]
    return None


def ranges(graph: Graph) -> dict[str, Range]:
    """Return what is known of the nodes that only scalar constants and random numbers go into."""
    consumers = graph.consumers()
    found: dict[str, Range] = {}
    waiting: list[str] = []
    for node in graph:
        known = _known(node)
        if known is not None:
            found[node.name] = known
            waiting.extend(consumers[node.name])
    while waiting:
        name = waiting.pop()
        inputs = graph.data_inputs(name)
        node = graph.nodes[name]
        if name in found or node.op not in _UNDERSTOOD:
            continue
        if all(end.node in found for end in inputs):
            combined = _combined(node, [found[end.node] for end in inputs])
            if combined is not None:
                found[name] = combined
                waiting.extend(consumers[name])
    return found


def _known(node: Any) -> Range | None:
    if node.op == "Const":
        tensor = node.attr["value"].tensor
        if tensor.tensor_shape.dim or not tf.as_dtype(tensor.dtype).is_floating:
            return None
        value = tf.make_ndarray(tensor)[()]
        return value, value
    if node.op in UNIFORM_OPS:
        dtype = tf.as_dtype(node.attr["dtype"].type).as_numpy_dtype
        # The generator fills the mantissa (tensorflow/core/lib/random/random_distributions.h), so
        # that its largest number is one step of the mantissa below 1.
        return dtype(0), dtype(1 - float(tf.experimental.numpy.finfo(dtype).eps))
    return None


def _combined(node: Any, inputs: list[Range]) -> Range | None:
    if node.op in _HANDING_ON:
        return inputs[0]
    if node.op == "Floor":
        return np.floor(inputs[0][0]), np.floor(inputs[0][1])
    if node.op == "Cast":
        # Of a comparison; other casts round in ways of their own.
        is_mask = isinstance(inputs[0][0], bool)
        return (np.float32(1), np.float32(1)) if is_mask else None
    if node.op in _COMPARISONS:
        left, right = inputs if node.op == "GreaterEqual" else inputs[::-1]
        return (True, True) if left[0] >= right[1] else None
    return _computed(node, inputs)


def _computed(node: Any, inputs: list[Range]) -> Range | None:
    left, right = inputs
    if isinstance(left[0], bool) or isinstance(right[0], bool):
        return None
    if node.op in _DIVISIONS and right[0] <= 0 <= right[1]:
        return None
    ends = [_ARITHMETIC[node.op](a, b) for a in left for b in right]
    return min(ends), max(ends)


def _fold_scalars(graph: Graph, ranges: dict[str, Range]) -> set[str]:
    """Make, in place, constants of what is computed from scalar constants; return all of these.

    `1 / keep_prob` is one. TensorFlow computes them, so that they are what they were.
    """
    scalars = {name for name in ranges if graph.nodes[name].op == "Const"}
    waiting = [name for name in ranges if graph.nodes[name].op in _ARITHMETIC]
    ready: list[str] = []
    while True:
        new = [
            name
            for name in waiting
            if name not in scalars and all(e.node in scalars for e in graph.data_inputs(name))
        ]
        if not new:
            break
        scalars.update(new)
        ready.extend(new)
    if ready:
        part = graph.subgraph(graph.ancestors(ready)).to_graph_def()
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.import_graph_def(part, name="")
            values = session.run([f"{name}:0" for name in ready])
        for name, value in zip(ready, values, strict=True):
            graph.nodes[name] = const_node(name, value)
    return scalars


def _values(graph: Graph, ends: list[Endpoint], *, keep: bool) -> dict[str, float]:
    """Return what sets `keep_prob` to 1 or `rate` to 0, whichever `ends` compute."""
    found: dict[str, float] = {}
    for name in graph.ancestors([end.node for end in ends]):
        node = graph.nodes[name]
        if node.op.startswith("Placeholder"):
            found[name] = 1.0 if keep or "keep" in name.lower() else 0.0
    if found:
        return found
    return {end.node: 1.0 if keep else 0.0 for end in ends if graph.nodes[end.node].op == "Const"}


def _scales(graph: Graph, mask: str, consumers: dict[str, list[str]]) -> dict[str, float]:
    """Return the constants by which what is kept is made larger: those must become 1."""
    found: dict[str, float] = {}
    users = [user for cast in consumers[mask] for user in consumers[cast]]
    for user in [*users, *consumers[mask]]:
        for end in graph.data_inputs(user):
            node = graph.nodes[end.node]
            if node.op == "Mul":
                found |= {
                    source.node: 1.0
                    for source in graph.data_inputs(end.node)
                    if graph.nodes[source.node].op == "Const"
                }
    return found
