"""Shapes and dtypes of tensors, as far as TensorFlow can tell them without running anything.

A source that cannot be frozen must still be told about: what TensorFlow does not know, or may not
look at, is left out of what it is given, and only what follows stays unknown.
"""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from freezing.graph.attributes import strip_unknown_attributes
from freezing.graph.graph import (
    Endpoint,
    Graph,
    called_functions,
    op_def,
    output_types,
    placeholder_node,
)
from freezing.graph.permitted import may_be_imported

_LARGE_BYTES = 4096  # of a constant, whose content no shape depends on


class Shapes:
    """The shapes and dtypes of some nodes' outputs, and of all that they are computed from."""

    def __init__(self, graph: Graph, names: Iterable[str]) -> None:
        self._graph = graph
        self._imported: Any = None
        part = importable_part(graph, graph.ancestors(names))
        try:
            with tf.Graph().as_default() as imported:
                tf.import_graph_def(part, name="")
            self._imported = imported
        except (ValueError, TypeError, KeyError, tf.errors.OpError):
            pass  # a graph that TensorFlow cannot read; all shapes are unknown then

    def shape(self, end: Endpoint) -> Any:
        """Return the tensor's shape as a `tf.TensorShape`."""
        tensor = self._tensor(end)
        return tf.TensorShape(None) if tensor is None else tensor.shape

    def sides(self, end: Endpoint) -> list[int | None] | None:
        """Return the tensor's shape as a list; None for an unknown rank."""
        shape = self.shape(end)
        return None if shape.rank is None else list(shape.as_list())

    def dtype(self, end: Endpoint) -> str | None:
        """Return the dtype's name; None where it cannot be told."""
        tensor = self._tensor(end)
        if tensor is not None:
            return str(tensor.dtype.base_dtype.name)
        types = output_types(self._graph.nodes[end.node])
        if types is None or end.output >= len(types) or not types[end.output]:
            return None
        return str(tf.as_dtype(types[end.output]).base_dtype.name)

    def _tensor(self, end: Endpoint) -> Any:
        if self._imported is None:
            return None
        try:
            return self._imported.get_tensor_by_name(str(end))
        except (KeyError, ValueError):
            return None


def importable_part(graph: Graph, names: set[str]) -> Any:
    """Return a GraphDef of the nodes `names` that TensorFlow may infer shapes for, without data."""
    part = tf.compat.v1.GraphDef()
    part.versions.producer = graph.producer
    part.library.function.extend(graph.functions.values())
    missing: set[str] = set()
    for node in graph:
        if node.name in names:
            made = _stand_in(graph, node)
            if made is None:
                missing.add(node.name)
            else:
                part.node.add().CopyFrom(made)
    if missing:
        behind = graph.descendants(missing)
        kept = [node for node in part.node if node.name not in behind]
        del part.node[:]
        part.node.extend(kept)
    strip_unknown_attributes(Graph(part), None)
    return part


def _stand_in(graph: Graph, node: Any) -> Any:
    """Return the node, or a placeholder for one that is large, unknown or unsafe; None for none."""
    if node.op == "Const":
        tensor = node.attr["value"].tensor
        if tensor.ByteSize() <= _LARGE_BYTES:
            return node
        return placeholder_node(node.name, tensor.dtype, tensor.tensor_shape)
    is_known = op_def(node.op) is not None or node.op in graph.functions
    if is_known and may_be_imported(_alone(graph, node)):
        return node
    types = output_types(node)
    if types is not None and len(types) == 1:
        return placeholder_node(node.name, tf.as_dtype(types[0]).base_dtype.as_datatype_enum, None)
    return None


def _alone(graph: Graph, node: Any) -> Graph:
    """Return a graph of the node and the functions that it calls."""
    part = tf.compat.v1.GraphDef()
    part.node.add().CopyFrom(node)
    called = called_functions([node], graph.functions)
    part.library.function.extend(graph.functions[name] for name in called)
    return Graph(part)
