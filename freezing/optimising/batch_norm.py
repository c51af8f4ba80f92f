"""Batch normalisation folded into the layer before it.

With statistics that are constants, a normalisation multiplies each channel by a number and adds
another. So do biases and scalings. A chain of such steps behind a convolution or a dense layer is
one scaling, which goes into the layer's weights, and one bias:

    ((x * W + b) - mean) / sqrt(variance + epsilon) * gamma + beta  =  x * (W * s) + t

The last step of the chain keeps its name and becomes the bias. A normalisation before a layer, or
behind anything else, is left alone.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from freezing.graph.graph import CONTROL, Endpoint, Graph, const_node, make_identity, op_def
from freezing.graph.side_effects import inside_control_flow

Vector = npt.NDArray[np.float64]

# Halves are left alone: a scaling that goes through their weights loses digits.
_DTYPES = frozenset({tf.float32.as_datatype_enum, tf.float64.as_datatype_enum})
_LAYERS = frozenset({"Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul"})
_FUSED = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
_SYMMETRIC = frozenset({"Add", "AddV2", "Mul"})
_ASYMMETRIC = frozenset({"BiasAdd", "Sub", "RealDiv", "Div"})  # the constant is the second input
# These hand channels on as they are.
_PASSING = frozenset({"Identity", "BatchToSpaceND"})


class _Step(NamedTuple):
    """What one node does to each channel: times `scale` (None: not scaled), plus `offset`."""

    scale: Vector | None
    offset: Vector | float


@dataclass
class _Chain:
    """The steps behind a layer, as far as they can be folded."""

    layer: Any
    rank: int  # of its output: (images, height, width, channels), or (images, channels)
    axis: int  # of the channels
    channels: int
    # Names of the nodes that do arithmetic, with what of the chain they take.
    steps: list[tuple[str, Endpoint]] = field(default_factory=list)
    scalings: int = 0
    scale: Any = 1.0
    offset: Any = 0.0

    def vector(self, value: Any) -> Vector | None:
        """Return the constant as one number per channel, if it is that."""
        array = np.asarray(value, np.float64)
        if array.ndim > self.rank:
            return None
        shape = (1,) * (self.rank - array.ndim) + array.shape
        if any(side != 1 for axis, side in enumerate(shape) if axis != self.axis):
            return None
        if shape[self.axis] not in (1, self.channels):
            return None
        return np.broadcast_to(array.reshape(-1), (self.channels,))


def fold_batch_norms(graph: Graph, outputs: Collection[Endpoint]) -> int:
    """Fold, in place, normalisations and scalings into layers; return how many there were.

    The `outputs` stay what they were. Nodes that became idle are left for pruning, but weights that
    were replaced go, so that they are not held twice.
    """
    consumers = graph.consumers()
    untouched = inside_control_flow(graph) if graph.has_control_flow else set()
    untouched |= {end.node for end in outputs if end.output != 0}
    keep = {end.node for end in outputs}
    folded = 0
    for node in [node for node in graph if node.op in _LAYERS and node.name not in untouched]:
        path = _weights(graph, node, consumers, keep)
        chain = None if path is None or node.name in keep else _begin(graph, node, path[-1])
        if chain is None or path is None:
            continue
        _follow(graph, chain, consumers, untouched, keep)
        if chain.scalings and _replace(graph, chain, path):
            folded += chain.scalings
    return folded


def _weights(
    graph: Graph, layer: Any, consumers: dict[str, list[str]], keep: Collection[str]
) -> list[str] | None:
    """Return the nodes that give the layer, and it alone, its weights; the last is their Const."""
    path: list[str] = []
    end = graph.data_inputs(layer.name)[1]
    while True:
        node = graph.nodes[end.node]
        inputs = graph.inputs(node.name)
        if len(consumers[node.name]) != 1 or node.name in keep or end.output != 0:
            return None
        if any(source.output == CONTROL for source in inputs):
            return None
        path.append(node.name)
        if node.op == "Const":
            return path if node.attr["dtype"].type in _DTYPES else None
        if node.op != "Identity":
            return None
        end = inputs[0]


def _begin(graph: Graph, layer: Any, const: str) -> _Chain | None:
    shape = [side.size for side in graph.nodes[const].attr["value"].tensor.tensor_shape.dim]
    if layer.op == "MatMul":
        if len(shape) != 2:
            return None
        channels = shape[0] if layer.attr["transpose_b"].b else shape[1]
        return _Chain(layer=layer, rank=2, axis=1, channels=channels)
    if len(shape) != 4 or _format(layer) not in (b"NHWC", b"NCHW"):
        return None
    channels = {
        "Conv2D": shape[3],
        "DepthwiseConv2dNative": shape[2] * shape[3],
        "Conv2DBackpropInput": shape[2],
    }[layer.op]
    axis = 3 if _format(layer) == b"NHWC" else 1
    return _Chain(layer=layer, rank=4, axis=axis, channels=channels)


def _follow(
    graph: Graph,
    chain: _Chain,
    consumers: dict[str, list[str]],
    untouched: set[str],
    keep: Collection[str],
) -> None:
    """Take into the chain what follows the layer, as long as nothing else needs what is between."""
    name = chain.layer.name
    while len(consumers[name]) == 1:
        node = graph.nodes[consumers[name][0]]
        ends = graph.inputs(node.name)
        taken = [index for index, end in enumerate(ends) if end.node == name]
        if node.name in untouched or len(taken) != 1 or ends[taken[0]].output != 0:
            return
        if any(end.output == CONTROL for end in ends):
            return
        if node.op in _PASSING:
            if node.op != "Identity" and (chain.axis != 3 or not _is_spatial(graph, node)):
                return
        else:
            step = _step(graph, chain, node, taken[0], consumers)
            if step is None:
                return
            if step.scale is not None:
                chain.scale, chain.offset = chain.scale * step.scale, chain.offset * step.scale
                chain.scalings += 1
            chain.offset = chain.offset + step.offset
            chain.steps.append((node.name, ends[taken[0]]))
        name = node.name
        if name in keep:
            return


def _step(
    graph: Graph, chain: _Chain, node: Any, position: int, consumers: dict[str, list[str]]
) -> _Step | None:
    """Return what the node does to each channel of its input number `position`, if just that."""
    if node.op in _FUSED or node.op == "BatchNormWithGlobalNormalization":
        return _normalisation(graph, chain, node, consumers) if position == 0 else None
    if node.op not in _SYMMETRIC and (node.op not in _ASYMMETRIC or position != 0):
        return None
    vector = _operand(graph, chain, node, position)
    if vector is None:
        return None
    if node.op == "Mul":
        return _Step(vector, 0.0)
    if node.op in ("RealDiv", "Div"):
        return _Step(1.0 / vector, 0.0) if vector.all() else None
    return _Step(None, -vector if node.op == "Sub" else vector)


def _operand(graph: Graph, chain: _Chain, node: Any, position: int) -> Vector | None:
    """Return the other input of the node, if that is one constant number per channel."""
    value = _constant(graph, graph.data_inputs(node.name)[1 - position], chain.channels)
    if value is not None and node.op == "BiasAdd" and chain.rank == 4:
        if _format(node) != _format(chain.layer):
            return None
        if chain.axis == 1:
            value = value.reshape(-1, 1, 1)
    return None if value is None else chain.vector(value)


def _normalisation(
    graph: Graph, chain: _Chain, node: Any, consumers: dict[str, list[str]]
) -> _Step | None:
    is_fused = node.op in _FUSED
    if is_fused and (_attribute(node, "is_training").b or _format(node) != _format(chain.layer)):
        return None
    if chain.rank != 4 or (not is_fused and chain.axis != 3):
        return None
    for taker in consumers[node.name]:
        if any(end.node == node.name and end.output != 0 for end in graph.inputs(taker)):
            return None
    values = [_constant(graph, end, chain.channels) for end in graph.data_inputs(node.name)[1:]]
    if len(values) != 4 or any(v is None or v.size != chain.channels for v in values):
        return None
    numbers: list[Any] = [np.asarray(v, np.float64).reshape(-1) for v in values]
    if is_fused:
        gamma, beta, mean, variance = numbers
        epsilon = _attribute(node, "epsilon").f
    else:
        mean, variance, beta, gamma = numbers
        epsilon = node.attr["variance_epsilon"].f
        gamma = gamma if node.attr["scale_after_normalization"].b else np.ones_like(gamma)
    if (variance + epsilon <= 0).any():
        return None
    scale = gamma / np.sqrt(variance + epsilon)
    return _Step(scale, beta - mean * scale)


def _replace(graph: Graph, chain: _Chain, path: list[str]) -> bool:
    """Put the chain's scaling into the weights and its offset into one bias; False if they grow."""
    layer, old = chain.layer, path[-1]
    dtype = graph.nodes[old].attr["dtype"].type
    numpy_dtype = tf.as_dtype(dtype).as_numpy_dtype
    with np.errstate(over="ignore"):
        scale = np.broadcast_to(chain.scale, (chain.channels,)).astype(numpy_dtype)
        offset = np.broadcast_to(chain.offset, (chain.channels,)).astype(numpy_dtype)
        weights = tf.make_ndarray(graph.nodes[old].attr["value"].tensor)
        weights = weights * _beside(layer, weights, scale)
    if not all(np.isfinite(array).all() for array in (weights, offset)):
        return False
    names = [graph.unused_name(f"{old}/folded"), graph.unused_name(f"{chain.steps[-1][0]}/folded")]
    graph.nodes[names[0]] = const_node(names[0], weights)
    graph.nodes[names[1]] = const_node(names[1], offset)
    layer.input[:] = [names[0] if i == 1 else text for i, text in enumerate(layer.input)]
    for name in path:
        del graph.nodes[name]
    for name, before in chain.steps:
        make_identity(graph.nodes[name], before, dtype)
    last = graph.nodes[chain.steps[-1][0]]
    last.op = "BiasAdd"
    last.input.append(names[1])
    last.attr["data_format"].s = b"NCHW" if (chain.rank, chain.axis) == (4, 1) else b"NHWC"
    return True


def _beside(layer: Any, weights: Any, scale: Any) -> Any:
    """Return the scale in the shape in which it multiplies the weights."""
    if layer.op == "DepthwiseConv2dNative":
        return scale.reshape(weights.shape[2:])
    if layer.op == "Conv2DBackpropInput" or (layer.op == "MatMul" and layer.attr["transpose_b"].b):
        return scale[:, np.newaxis]
    return scale


def _constant(graph: Graph, end: Endpoint, most: int) -> Any:
    """Return the Const of at most so many numbers that the tensor comes from, if it does."""
    node = graph.nodes[end.node]
    while node.op == "Identity":
        node = graph.nodes[graph.data_inputs(node.name)[0].node]
    if node.op != "Const" or node.attr["dtype"].type not in _DTYPES:
        return None
    tensor = node.attr["value"].tensor
    count = math.prod(side.size for side in tensor.tensor_shape.dim)
    return tf.make_ndarray(tensor) if count <= most else None


def _is_spatial(graph: Graph, node: Any) -> bool:
    """Whether a BatchToSpaceND moves rows and columns only."""
    block = graph.nodes[graph.data_inputs(node.name)[1].node]
    shape = block.attr["value"].tensor.tensor_shape.dim if block.op == "Const" else []
    return len(shape) == 1 and shape[0].size == 2


def _attribute(node: Any, name: str) -> Any:
    if name in node.attr:
        return node.attr[name]
    return next(a.default_value for a in op_def(node.op).attr if a.name == name)


def _format(node: Any) -> bytes:
    return bytes(node.attr["data_format"].s) or b"NHWC"
