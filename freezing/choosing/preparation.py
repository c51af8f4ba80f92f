"""How images must be prepared for a graph's input, as far as the graph itself shows it.

Networks are trained on pixels of 0..1, -1..1, 0..255 or with the channels' means taken off. What
scales pixels inside the graph tells which of these its input takes: in front of the input, between
the decoder and it, or behind it, before the first weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from freezing.graph.flow import DECODERS
from freezing.graph.graph import PLACEHOLDER_OPS, Endpoint, Graph
from worker.models.basis import Alternative, Aspect, BasisKind
from worker.models.preprocessing import PreprocessingSpec

_PASSING = frozenset(
    {"Identity", "Reshape", "ExpandDims", "Squeeze", "Cast", "StopGradient", "Pack", "Transpose"}
    | {"ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea", "ResizeBicubic", "CropAndResize"}
    | {
        "ResizeBilinearV2",
        "ReverseV2",
        "Reverse",
        "StridedSlice",
        "Slice",
        "Pad",
        "PlaceholderWithDefault",
    }
)
# What an op with a constant does: factor and offset.
_SCALING: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "Mul": lambda value: (value, 0.0),
    "Add": lambda value: (1.0, value),
    "AddV2": lambda value: (1.0, value),
    "BiasAdd": lambda value: (1.0, value),
    "Sub": lambda value: (1.0, -value),
    "RealDiv": lambda value: (1.0 / value, 0.0),
    "Div": lambda value: (1.0 / value, 0.0),
}
_EITHER_WAY = frozenset({"Mul", "Add", "AddV2"})
# What a constant may pass through without a change of its numbers.
_LAYING_OUT = frozenset({"Identity", "Cast", "Squeeze", "Reshape", "ExpandDims"})
_MOST_STEPS = 40


class Scaling(NamedTuple):
    """`value * factor + offset`: of single numbers, or one per channel."""

    factor: Any
    offset: Any
    steps: tuple[str, ...]  # the nodes that do it


@dataclass(frozen=True, kw_only=True)
class Guess:
    """Fields of a preprocessing that are not stated, and what shows them.

    What `spec` leaves out is not known.
    """

    spec: PreprocessingSpec = field(default_factory=PreprocessingSpec)
    kind: BasisKind = "assumed"  # how what `spec` says is known
    kinds: Mapping[Aspect, BasisKind] = field(default_factory=dict)  # where that differs
    reasons: list[str] = field(default_factory=list)
    alternatives: list[Alternative] = field(default_factory=list)  # likeliest first


def guess_scaling(whole: Graph, end: Endpoint) -> Guess:
    """Return how pixels of 0..255 must be scaled for the tensor `end` of the source's graph.

    Empty where the graph does not show it.
    """
    before = _before(whole, end)
    if before is not None and before.steps:
        return Guess(
            spec=_as_spec(before),
            kind="read",
            reasons=[f"in front of the input, pixels are scaled by {' and '.join(before.steps)}"],
        )
    if before is not None:
        reason = "the input takes what the decoder gives: values from 0 to 255"
        return Guess(spec=PreprocessingSpec(preset="raw"), kind="read", reasons=[reason])
    if whole.nodes[end.node].op not in PLACEHOLDER_OPS:
        return Guess()  # something in front of it prepares pixels in a way that does not show
    behind = _behind(whole, end)
    if behind.steps and _scales_bytes(behind):
        names = " and ".join(behind.steps)
        reason = f"the graph scales pixels itself ({names}): it takes values from 0 to 255"
        return Guess(spec=PreprocessingSpec(preset="raw"), kind="read", reasons=[reason])
    return Guess()


def _as_spec(scaling: Scaling) -> PreprocessingSpec:
    """Return it as (value * scale - mean) / std."""
    factors, offsets = np.atleast_1d(scaling.factor), np.atleast_1d(scaling.offset)
    if len(factors) == 1:
        mean = [float(-offset) for offset in offsets]
        return PreprocessingSpec(scale=float(factors[0]), mean=mean, std=[1.0])
    std = [float(1 / factor) for factor in factors]
    mean = [float(-offset / factor) for offset, factor in np.broadcast(offsets, factors)]
    return PreprocessingSpec(scale=1.0, mean=mean, std=std)


def _scales_bytes(scaling: Scaling) -> bool:
    """Whether what is scaled are values up to 255, and not up to 1."""
    factor, offset = float(np.max(np.abs(scaling.factor))), float(np.max(np.abs(scaling.offset)))
    return factor < 0.1 or (factor <= 1.5 and offset > 10)


def _before(graph: Graph, end: Endpoint) -> Scaling | None:
    """Return the scaling between the decoder and `end`; None where no decoder is in front."""
    steps: list[tuple[Any, Any]] = []
    names: list[str] = []
    for _ in range(_MOST_STEPS):
        node = graph.nodes[end.node]
        if node.op in DECODERS:
            factor, offset = np.float64(1.0), np.float64(0.0)
            for scale, shift in reversed(steps):
                factor, offset = factor * scale, offset * scale + shift
            return Scaling(factor, offset, tuple(reversed(names)))
        inputs = graph.data_inputs(end.node)
        if not inputs:
            return None
        step = _step(graph, node, inputs)
        if step is not None:
            steps.append((step[0], step[1]))
            names.append(node.name)
            end = step[2]
        elif node.op in _PASSING:
            end = inputs[0]
        else:
            return None
    return None


def _behind(graph: Graph, end: Endpoint) -> Scaling:
    """Return the scaling that is done to `end`, and to nothing else, before any weights."""
    consumers = graph.consumers()
    factor, offset = np.float64(1.0), np.float64(0.0)
    names: list[str] = []
    name = end.node
    for _ in range(_MOST_STEPS):
        for taker in consumers[name]:
            node = graph.nodes[taker]
            inputs = graph.data_inputs(taker)
            step = _step(graph, node, inputs)
            if step is not None and step[2].node == name:
                factor, offset = factor * step[0], offset * step[0] + step[1]
                names.append(taker)
                name = taker
                break
            if node.op in _PASSING and inputs and inputs[0].node == name:
                name = taker
                break
        else:
            break
    return Scaling(factor, offset, tuple(names))


def _step(graph: Graph, node: Any, inputs: list[Endpoint]) -> tuple[Any, Any, Endpoint] | None:
    """Return factor, offset and what is scaled, where the node scales by a constant."""
    if node.op not in _SCALING or len(inputs) < 2:
        return None
    left, right = (_constant(graph, end) for end in inputs[:2])
    if (left is None) == (right is None):
        return None
    if left is not None:  # a constant less the pixels, or divided by them, is no scaling
        return (*_SCALING[node.op](left), inputs[1]) if node.op in _EITHER_WAY else None
    return (*_SCALING[node.op](right), inputs[0]) if np.all(right) else None


def _constant(graph: Graph, end: Endpoint) -> Any:
    """Return what a constant of one number, or of one per channel, holds."""
    node = graph.nodes.get(end.node)
    while node is not None and node.op in _LAYING_OUT and node.input:
        node = graph.nodes.get(graph.data_inputs(node.name)[0].node)
    if node is None or node.op != "Const":
        return None
    tensor = node.attr["value"].tensor
    sides = [side.size for side in tensor.tensor_shape.dim]
    if not tf.as_dtype(tensor.dtype).is_floating or np.prod(sides) not in (1, 3):
        return None
    return tf.make_ndarray(tensor).astype(np.float64).reshape(-1)
