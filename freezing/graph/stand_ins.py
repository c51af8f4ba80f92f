"""Large constants replaced by placeholders, for whatever only looks at a graph and copies it."""

from collections.abc import Iterable
from typing import Any

from freezing.graph.graph import Graph, placeholder_node

LARGE_BYTES = 16 * 1024


def is_large(node: Any) -> bool:
    """Whether the node is a constant that is not worth copying."""
    return bool(node.op == "Const" and node.attr["value"].tensor.ByteSize() > LARGE_BYTES)


def with_stand_ins(graph: Graph, names: Iterable[str]) -> Graph:
    """Return a copy of the graph in which the constants `names` are placeholders of their shape."""
    aside = {name: graph.nodes[name] for name in names}
    copy = Graph(graph.to_graph_def(without=aside))
    for name, node in aside.items():
        shape = node.attr["value"].tensor.tensor_shape
        copy.nodes[name] = placeholder_node(name, node.attr["dtype"].type, shape)
        copy.nodes[name].input.extend(node.input)
    return copy
