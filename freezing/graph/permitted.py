"""Which nodes of a graph may run: over the graph and every function that it can reach."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from freezing.graph.graph import Graph, called_functions, op_def
from worker.auditing import allowed_ops
from worker.auditing.attributes import fault

# What gives training its data; an input named behind it replaces it.
PIPELINE = re.compile(r"Queue|Reader|Iterator|Dataset|Barrier|RecordInput|Unstage|Stage|MapPeek")
_ALLOWED = allowed_ops.SERVED | allowed_ops.VARIABLES


class Place(NamedTuple):
    """A node, and the function that it stands in, or "" where it is one of the graph's own."""

    node: Any
    function: str

    def __str__(self) -> str:
        inside = f" in the function '{self.function}'" if self.function else ""
        return f"'{self.node.name}'{inside}"


def may_be_imported(graph: Graph) -> bool:
    """Whether TensorFlow may look at the graph: inferring shapes can run ops without state."""
    return all(
        is_allowed(graph, node) or PIPELINE.search(node.op) or op_def(node.op) is None
        for node, _ in places(graph)
    )


def is_allowed(graph: Graph, node: Any) -> bool:
    """Whether a node of the graph or of its functions may run."""
    if node.op in graph.functions:
        # Its body is looked at as well. One with the name of an op would stand in for it.
        return op_def(node.op) is None
    return node.op in _ALLOWED and fault(node) is None


def places(graph: Graph) -> Iterator[Place]:
    """Yield the nodes and those of every function that they can reach."""
    for node in graph:
        yield Place(node, "")
    for name in sorted(called_functions(graph, graph.functions, graph.gradients)):
        for node in graph.functions[name].node_def:
            yield Place(node, name)
