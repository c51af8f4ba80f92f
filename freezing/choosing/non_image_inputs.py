"""Inputs that have a shape that images could have, but take something else."""

from collections.abc import Iterator

import tensorflow as tf

from freezing.graph.functions import inline_functions
from freezing.graph.graph import Endpoint, Graph
from worker.errors import FreezeError
from worker.models.manifest import Tensor

_FEWEST_NUMBERS = 64  # of a flat input that is taken for an image: 8x8, as the smallest digits are
_LOOKUPS = frozenset({"Gather", "GatherV2", "ResourceGather", "GatherNd", "ResourceGatherNd"})
_PASSING = frozenset(
    {"Identity", "Cast", "Reshape", "ExpandDims", "Squeeze", "StopGradient", "Transpose", "Sub"}
    | {"Mul", "RealDiv", "Add", "AddV2", "BiasAdd", "Maximum", "Minimum", "Pad", "StridedSlice"}
    | {"Select", "SelectV2"}
)
_FLAT, _GRAY, _COLOURED = 2, 3, 4  # the ranks of inputs that images may have


def why_no_images(graph: Graph, taken: Tensor, outputs: list[str]) -> str | None:
    """Return what an input takes instead of images, as far as that shows; None where it may.

    `graph` is what `outputs` need.
    """
    shape = taken.shape
    if shape is None or len(shape) not in (_FLAT, _GRAY, _COLOURED):
        return None
    sides = [side for side in shape[1:] if side is not None]
    if len(sides) < len(shape) - 1:
        return None
    if len(shape) == _COLOURED:
        return "a sequence: one side has a single number" if _is_line(sides) else None
    part = _flat(graph, [taken.name, *outputs])
    name = Endpoint.parse(taken.name).node
    why = None
    if _is_looked_up(part, name):
        why = "places in a table, as of words"
    elif len(shape) == _FLAT and sides[0] < _FEWEST_NUMBERS:
        why = f"{sides[0]} number(s), fewer than the smallest images have"
    elif len(shape) == _GRAY and sides[0] != sides[1] and not _is_seen(part, name):
        why = f"a sequence of {sides[0]} steps with {sides[1]} number(s) each"
    return why


def _is_line(sides: list[int]) -> bool:
    """Whether height or width is 1, in either layout."""
    first = sides[0] in (1, 3) and sides[2] not in (1, 3)
    height, width = sides[1:] if first else sides[:2]
    return (height == 1) != (width == 1)


def _flat(graph: Graph, keep: list[str]) -> Graph:
    try:
        return inline_functions(graph.subgraph(graph.nodes), keep)
    except FreezeError:
        return graph


def _is_looked_up(graph: Graph, name: str) -> bool:
    """Whether numbers of the input say where in a table something is."""
    for taker, source in _takers(graph, name):
        ends = graph.data_inputs(taker)
        op = graph.nodes[taker].op
        if op == "OneHot" and ends[0].node == source:
            return True
        if op in _LOOKUPS and len(ends) > 1 and ends[1].node == source and ends[0].node != source:
            return True
    return False


def _is_seen(graph: Graph, name: str) -> bool:
    """Whether a convolution goes over both sides of what comes in."""
    for taker, _ in _takers(graph, name):
        node = graph.nodes[taker]
        if node.op in ("Conv2D", "DepthwiseConv2dNative"):
            kernel = _shape(graph, graph.data_inputs(taker)[1])
            if len(kernel) == 4 and kernel[0] > 1 and kernel[1] > 1:
                return True
    return False


def _takers(graph: Graph, name: str) -> Iterator[tuple[str, str]]:
    """Yield what takes the input, behind what only lays it out or scales it, and what it takes."""
    consumers = graph.consumers()
    waiting, seen = [name], {name}
    while waiting:
        source = waiting.pop()
        for taker in consumers[source]:
            yield taker, source
            if graph.nodes[taker].op in _PASSING and taker not in seen:
                seen.add(taker)
                waiting.append(taker)


def _shape(graph: Graph, end: Endpoint) -> list[int]:
    node = graph.nodes[end.node]
    while node.op in ("Identity", "ReadVariableOp") and node.input:
        node = graph.nodes[graph.data_inputs(node.name)[0].node]
    if node.op == "Const":
        shape = tf.TensorShape(node.attr["value"].tensor.tensor_shape)
    elif "shape" in node.attr:
        shape = tf.TensorShape(node.attr["shape"].shape)
    else:
        return []
    return [] if shape.rank is None else [side or 0 for side in shape.as_list()]
