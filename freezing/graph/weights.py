"""What a graph has learnt: its variables, or in a frozen one the constants that stand for them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from freezing.graph.graph import VARIABLE_OPS, Graph, base_type


@dataclass(frozen=True, kw_only=True)
class Weight:
    """A variable, or a constant that is one in a frozen graph."""

    name: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def weights(graph: Graph, names: Iterable[str], constants: Iterable[str] = ()) -> list[Weight]:
    """Return the variables among `names`, in the graph's order.

    Of a graph without variables, those of its `constants` that hold weights.
    """
    wanted = set(names)
    found = [node for node in graph if node.op in VARIABLE_OPS and node.name in wanted]
    if found or any(node.op in VARIABLE_OPS for node in graph):
        return [_variable(node) for node in found]
    held = set(constants)
    return [_constant(node) for node in graph if node.name in wanted & held and node.op == "Const"]


def size_of(graph: Graph) -> int:
    """Return the bytes of the graph's definition, with its variables as constants."""
    return sum(node_bytes(node) for node in graph)


def node_bytes(node: Any) -> int:
    """Return the bytes of a node's definition and, for a variable, of what it holds."""
    size = int(node.ByteSize())
    return size + _variable(node).bytes if node.op in VARIABLE_OPS else size


def _variable(node: Any) -> Weight:
    shape = [max(side.size, 0) for side in node.attr["shape"].shape.dim]
    dtype = tf.as_dtype(base_type(node.attr["dtype"].type))
    size = math.prod(shape) * (dtype.size if dtype not in (tf.string, tf.resource) else 0)
    return Weight(name=node.name, shape=tuple(shape), bytes=size)


def _constant(node: Any) -> Weight:
    tensor = node.attr["value"].tensor
    shape = tuple(side.size for side in tensor.tensor_shape.dim)
    return Weight(name=node.name, shape=shape, bytes=int(tensor.ByteSize()))
