"""The part of a source's graph that outputs need, cut off at inputs and at tensors that are set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from freezing.graph.graph import (
    PLACEHOLDER_OPS,
    Endpoint,
    Graph,
    output_types,
    placeholder_node,
)
from freezing.graph.permitted import may_be_imported


@dataclass(frozen=True, kw_only=True)
class Part:
    """The needed part: each tensor it was cut at is a Placeholder now."""

    graph: Graph
    placeholders: dict[Endpoint, str]  # the placeholder's name for each tensor that was cut at

    def used(self, end: Endpoint) -> bool:
        """Whether the outputs depend on the tensor that was cut at."""
        return self.placeholders[end] in self.graph

    def moved(self, end: Endpoint) -> Endpoint:
        """Return what stands in the part for a tensor of the whole."""
        return Endpoint(self.placeholders[end], 0) if end in self.placeholders else end


def cut(source: Graph, outputs: Sequence[Endpoint], at: Sequence[Endpoint]) -> Part:
    """Return a copy of what `outputs` need of the graph, with placeholders for the tensors `at`.

    A placeholder has the name of the node that it stands for, or, where that node has further
    outputs that are needed, a name made from the tensor's: `split_1` for `split:1`.
    """
    single = {end.node for end in at if len(output_types(source.nodes[end.node]) or [0]) == 1}
    needed = source.ancestors([end.node for end in outputs], stop=single)
    graph = source.subgraph(needed)
    placeholders: dict[Endpoint, str] = {}
    for end in at:
        name = end.node if end.node in single else graph.unused_name(f"{end.node}_{end.output}")
        placeholders[end] = name
        if end.node in graph:
            graph.nodes[name] = _placeholder(source, end, name)
    moved = {end: Endpoint(name, 0) for end, name in placeholders.items() if end.node not in single}
    if moved:
        _redirect(graph, moved)
        graph = graph.subgraph(graph.ancestors([moved.get(end, end).node for end in outputs]))
    return Part(graph=graph, placeholders=placeholders)


def static_shape(source: Graph, end: Endpoint) -> Any:
    """Return the tensor's shape as far as TensorFlow can tell, as a `tf.TensorShape`."""
    before = source.subgraph(source.ancestors([end.node]))
    if not may_be_imported(before):
        return tf.TensorShape(None)
    part = before.to_graph_def()
    try:
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(part, name="")
            return graph.get_tensor_by_name(str(end)).shape
    except (ValueError, KeyError, tf.errors.OpError):
        # What lies before it may hold ops that this TensorFlow does not have.
        return tf.TensorShape(None)


def _placeholder(source: Graph, end: Endpoint, name: str) -> Any:
    node = source.nodes[end.node]
    if node.op in PLACEHOLDER_OPS:
        shape = node.attr["shape"].shape if "shape" in node.attr else None
        return placeholder_node(name, node.attr["dtype"].type, shape)
    types = output_types(node)
    dtype = types[end.output] if types else tf.float32.as_datatype_enum
    return placeholder_node(
        name, tf.as_dtype(dtype).base_dtype.as_datatype_enum, static_shape(source, end).as_proto()
    )


def _redirect(graph: Graph, moved: dict[Endpoint, Endpoint]) -> None:
    for node in graph:
        ends = [moved.get(end, end) for end in graph.inputs(node.name)]
        del node.input[:]
        node.input.extend(end.as_input() for end in ends)
