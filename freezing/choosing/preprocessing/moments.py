"""What a batch normalisation near the input has seen: mean and deviation of the numbers it was fed.

Its moving mean and variance are those of the pixels that the network was trained on, behind the
first convolution. For a linear one, `mean of filter k = sum over channels (sum of its weights) *
(mean of the channel)`: as many equations as filters, and three unknowns. The variance of a filter
is that of its patch, whose pixels are correlated as those of natural images are (0.95 between
neighbours, 0.93 between colours), times the variance of a pixel.

Behind a rectified convolution, answers are taken for rectified normal ones, and the mean and
deviation that explain the filters best are looked for.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from freezing.choosing.preprocessing.channels import FirstLayer
from freezing.choosing.preprocessing.constant_values import Array, Constants
from freezing.graph.graph import Endpoint, Graph

_NEIGHBOURS, _COLOURS = 0.95, 0.93  # correlations in photographs
_MOST_WEIGHTS = 2**20  # of a first convolution
_FEWEST_FILTERS = 4
_MOST_BETWEEN = 6  # nodes between a convolution and its normalisation
NORMS = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
_BETWEEN = frozenset({"BiasAdd", "Add", "AddV2", "Identity", "Cast", "Relu"})
_MOST_FITTED = 64  # filters that are fitted together
_OUTLIER = 4.0  # how much a filter that fits badly counts at most, in squared deviations
_EXPLAINED = 1.0  # how badly filters may fit on average
_AGREEING = 3.0  # by which filters may differ in the deviation of pixels that they have seen
_DETERMINED = 0.9  # share of the filters' means that those of the channels must explain


@dataclass(frozen=True)
class Moments:
    """What a first normalisation has seen of each channel that comes out of the pixels' way."""

    name: str  # of the node
    mean: Array
    deviation: float
    is_exact: bool = True  # False: it was fitted
    # Whether these very numbers began as a mean of 0 and a deviation of 1. What training was too
    # short to replace is still in them.
    is_moving: bool = False


def moments(graph: Graph, layer: FirstLayer) -> Moments | None:
    """Return what is known of the numbers that a first layer was fed in training."""
    op = graph.nodes[layer.name].op
    find = _of_norm if op in NORMS else _of_convolution if op == "Conv2D" else None
    if find is None:
        return None
    try:
        with np.errstate(all="ignore"):
            found = find(graph, layer)
    except (np.linalg.LinAlgError, ValueError, IndexError):
        return None  # a stranger's weights may be anything
    if found is None or not np.all(np.isfinite([*found.mean, found.deviation])):
        return None
    return found


def _of_norm(graph: Graph, layer: FirstLayer) -> Moments | None:
    seen = _seen(graph, layer.name)
    if seen is None or len(seen[0]) != len(layer.pixels.sources):
        return None
    mean, variance = seen
    return Moments(layer.name, mean, float(np.sqrt(np.median(variance))), is_moving=True)


def _of_convolution(graph: Graph, layer: FirstLayer) -> Moments | None:
    kernel = _weights(graph, graph.data_inputs(layer.name)[1])
    found = _norm_behind(graph, layer.name)
    seen = None if found is None else _seen(graph, found[0])
    if kernel is None or found is None or seen is None:
        return None
    name, bias, is_rectified = found
    channels, filters = kernel.shape[-2:] if kernel.ndim == 4 else (0, 0)
    fits = channels == len(layer.pixels.sources) and filters == len(seen[0])
    if not fits or bias.size not in (1, filters):
        return None
    if is_rectified:
        fitted = _fitted(kernel, bias, *seen)
        return None if fitted is None else Moments(name, *fitted, is_exact=False)
    solved = _solved(kernel, seen[0] - bias, seen[1])
    return None if solved is None else Moments(name, *solved)


def _solved(kernel: Array, mean: Array, variance: Array) -> tuple[Array, float] | None:
    """Return the means of the channels and the deviation of pixels that filters have seen."""
    alive = variance > 1e-6 * float(np.max(variance))  # filters that have died tell nothing
    if np.count_nonzero(alive) < _FEWEST_FILTERS:
        return None
    kernel, mean, variance = kernel[..., alive], mean[alive], variance[alive]
    weight = 1 / np.sqrt(variance)
    sums = kernel.sum((0, 1)).T  # (filters, channels)
    solved, _, rank, _ = np.linalg.lstsq(sums * weight[:, None], mean * weight, rcond=0.02)
    left = float(np.sum((weight * (mean - sums @ solved)) ** 2))
    total = float(np.sum((weight * mean) ** 2))
    # Where filters answer little to grey, their means say little as well.
    is_open = left > (1 - _DETERMINED) * total and left > 0.05 * len(mean)
    if rank < sums.shape[1] or is_open:
        return None
    deviations = np.sqrt(variance / np.maximum(_patch_variance(kernel), 1e-30))
    low, middle, high = np.percentile(deviations, [10, 50, 90])
    # Filters that do not agree have seen something else, or are far from having seen enough.
    return (solved, float(middle)) if high <= _AGREEING * low else None


def _fitted(kernel: Array, bias: Array, mean: Array, variance: Array) -> tuple[Array, float] | None:
    """Return the mean and deviation of pixels that explain best what rectified filters saw."""
    alive = np.flatnonzero(variance > 1e-6 * float(np.max(variance)))[:_MOST_FITTED]
    if len(alive) < _FEWEST_FILTERS:
        return None
    bias = np.broadcast_to(bias, variance.shape)[alive]
    kernel, mean, variance = kernel[..., alive], mean[alive], variance[alive]
    deviations, ratios = np.geomspace(0.02, 200, 90), np.linspace(-4, 6, 61)
    tried = np.stack(np.meshgrid(deviations, ratios, indexing="ij"), -1).reshape(-1, 2)
    middle = (tried[:, :1] * tried[:, 1:]) * kernel.sum((0, 1, 2)) + bias  # (tried, filters)
    spread = tried[:, :1] * np.sqrt(np.maximum(_patch_variance(kernel), 1e-30))
    below = np.vectorize(math.erfc)(-middle / spread / math.sqrt(2)) / 2
    density = np.exp(-((middle / spread) ** 2) / 2) / math.sqrt(2 * math.pi)
    first = middle * below + spread * density
    second = np.maximum((middle**2 + spread**2) * below + middle * spread * density - first**2, 0)
    apart = (first - mean) ** 2 / variance + np.log((second + 1e-12) / variance) ** 2 / 4
    costs = np.minimum(apart, _OUTLIER).mean(1)
    best = int(np.argmin(costs))
    if costs[best] > _EXPLAINED:
        return None
    deviation, ratio = tried[best]
    return np.full(kernel.shape[2], deviation * ratio), float(deviation)


def _patch_variance(kernel: Array) -> Array:
    """Return the variance of each filter's answer to patches whose pixels have a variance of 1."""
    height, width, channels, filters = kernel.shape
    places = np.stack(np.meshgrid(range(height), range(width), indexing="ij"), -1).reshape(-1, 2)
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    colours = np.full((channels, channels), _COLOURS) + np.eye(channels) * (1 - _COLOURS)
    weights = kernel.reshape(height * width, channels, filters)
    mixed = np.tensordot(_NEIGHBOURS**distances, weights, (1, 0))
    mixed = np.einsum("pcf,cd->pdf", mixed, colours)
    found: Array = np.einsum("pcf,pcf->f", weights, mixed)
    return found


def _norm_behind(graph: Graph, name: str) -> tuple[str, Array, bool] | None:
    """Return the normalisation behind a layer, the bias before it, and whether it is rectified."""
    constants, consumers = Constants(graph), graph.consumers()
    bias, is_rectified = np.zeros(1), False
    for _ in range(_MOST_BETWEEN):
        takers = [taker for taker in consumers[name] if graph.nodes[taker].op != "Shape"]
        if len(takers) != 1:
            return None
        node = graph.nodes[takers[0]]
        inputs = graph.data_inputs(node.name)
        if node.op in NORMS:
            return (node.name, bias, is_rectified) if inputs[0].node == name else None
        if node.op not in _BETWEEN:
            return None
        if node.op == "Relu":
            is_rectified = True
        elif node.op in ("BiasAdd", "Add", "AddV2"):
            if is_rectified:
                return None
            other = next((one for one in inputs if one.node != name), None)
            value = None if other is None else constants.value(other)
            if value is None:
                return None
            bias = bias + value.astype(np.float64).reshape(-1)
        name = node.name
    return None


def _seen(graph: Graph, name: str) -> tuple[Array, Array] | None:
    """Return the moving mean and variance of a normalisation that has been trained."""
    node = graph.nodes[name]
    if node.attr["is_training"].b:
        return None
    inputs = graph.data_inputs(name)
    mean, variance = (_weights(graph, one) for one in inputs[3:5])
    if mean is None or variance is None or mean.shape != variance.shape or mean.ndim != 1:
        return None
    if np.all(mean == 0) or np.all(variance == 1) or not np.all(variance >= 0):
        return None  # as it was made: it has seen nothing
    return mean, variance


def _weights(graph: Graph, end: Endpoint) -> Array | None:
    node: Any = graph.nodes.get(end.node)
    for _ in range(_MOST_BETWEEN):
        if node is None or node.op not in ("Identity", "Cast") or not node.input:
            break
        node = graph.nodes.get(graph.data_inputs(node.name)[0].node)
    if node is None or node.op != "Const":
        return None
    tensor = node.attr["value"].tensor
    sides = [side.size for side in tensor.tensor_shape.dim]
    if not tf.as_dtype(tensor.dtype).is_floating or not 0 < np.prod(sides) <= _MOST_WEIGHTS:
        return None
    try:
        value: Array = tf.make_ndarray(tensor).astype(np.float64)
    except (ValueError, TypeError):
        return None
    return value if np.all(np.isfinite(value)) else None
