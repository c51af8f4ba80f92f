"""What small tensors of a graph hold that depend on nothing: the means and factors of pixels."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from freezing.graph.graph import Endpoint, Graph

Array = npt.NDArray[Any]

_MOST_NUMBERS = 4096  # of a constant: means and factors are one number per channel
_MOST_INPUTS = 16  # of a node that joins constants
_DEEPEST = 12  # steps from a tensor back to its constants
_PASSING = frozenset({"Identity", "Cast", "StopGradient", "Snapshot"})
_ONE: dict[str, Callable[[Array], Array]] = {
    "Neg": np.negative,
    "Sqrt": np.sqrt,
    "Rsqrt": lambda value: 1 / np.sqrt(value),
    "Square": np.square,
    "Reciprocal": lambda value: 1 / value,
    "Inv": lambda value: 1 / value,
    "Abs": np.abs,
}
_TWO: dict[str, Callable[[Array, Array], Array]] = {
    "Mul": np.multiply,
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "RealDiv": np.divide,
    "Div": np.divide,
    "DivNoNan": np.divide,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Pow": np.power,
    "BiasAdd": np.add,
}


class Constants:
    """Calculates, without TensorFlow, what follows from small constants alone."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[Endpoint, Array | None] = {}

    def value(self, end: Endpoint, depth: int = 0) -> Array | None:
        """Return what the tensor holds; None where it depends on an input, or is large."""
        if end not in self._known:
            found = None if depth > _DEEPEST else self._calculate(end, depth)
            usable = found is not None and found.size <= _MOST_NUMBERS
            self._known[end] = found if usable else None
        return self._known[end]

    def numbers(self, end: Endpoint) -> list[int] | None:
        """Return the whole numbers that a tensor holds, such as a size, axes or a permutation."""
        found = self.value(end)
        if found is None or found.dtype.kind not in "iu":
            return None
        return [int(number) for number in found.reshape(-1)]

    def _calculate(self, end: Endpoint, depth: int) -> Array | None:
        node = self._graph.nodes.get(end.node)
        if node is None or end.output != 0:
            return None
        if node.op == "Const":
            return _held(node)
        inputs = self._graph.data_inputs(node.name)
        if node.op not in _CALCULATED or not 0 < len(inputs) <= _MOST_INPUTS:
            return None
        values = [self.value(one, depth + 1) for one in inputs]
        if any(value is None for value in values):
            return None
        try:
            with np.errstate(all="ignore"):
                return _apply(node, [value for value in values if value is not None])
        except (ValueError, TypeError, IndexError):
            return None  # a stranger's graph may hold what does not go together


def _apply(node: Any, values: list[Array]) -> Array | None:
    if node.op in _PASSING:
        if node.op == "Cast":
            return values[0].astype(tf.as_dtype(node.attr["DstT"].type).as_numpy_dtype)
        return values[0]
    if node.op in _ONE:
        return np.asarray(_ONE[node.op](values[0]))
    if node.op in _TWO:
        if math.prod(np.broadcast_shapes(values[0].shape, values[1].shape)) > _MOST_NUMBERS:
            return None
        return np.asarray(_TWO[node.op](values[0], values[1]))
    return _SHAPING[node.op](node, values)


def _packed(node: Any, values: list[Array]) -> Array:
    return np.stack(values, int(node.attr["axis"].i))


def _joined(_: Any, values: list[Array]) -> Array:
    return np.concatenate(values[:-1], int(values[-1]))


def _squeezed(node: Any, values: list[Array]) -> Array:
    axes = tuple(int(axis) for axis in node.attr["squeeze_dims"].list.i)
    return np.squeeze(values[0], axes or None)


def _reshaped(_: Any, values: list[Array]) -> Array:
    return values[0].reshape([int(side) for side in values[1].reshape(-1)])


_SHAPING: dict[str, Callable[[Any, list[Array]], Array]] = {
    "Pack": _packed,
    "ConcatV2": _joined,
    "Squeeze": _squeezed,
    "Reshape": _reshaped,
    "ExpandDims": lambda _, values: np.expand_dims(values[0], int(values[1])),
    "ReverseV2": lambda _, values: np.flip(values[0], tuple(int(axis) for axis in values[1])),
}

_CALCULATED = _PASSING | _ONE.keys() | _TWO.keys() | _SHAPING.keys()


def _held(node: Any) -> Array | None:
    tensor = node.attr["value"].tensor
    sides = [side.size for side in tensor.tensor_shape.dim]
    dtype = tf.as_dtype(tensor.dtype)
    if np.prod(sides, dtype=float) > _MOST_NUMBERS or not (dtype.is_floating or dtype.is_integer):
        return None
    try:
        value: Array = tf.make_ndarray(tensor)
    except (ValueError, TypeError):
        return None
    return value.astype(np.float64) if dtype.is_floating else value
