"""Whether a graph is whole: one that is not could not be loaded by any TensorFlow."""

from freezing.graph.graph import PLACEHOLDER_OPS, VARIABLE_OPS, Graph
from worker.errors import SourceError

_TYPED = PLACEHOLDER_OPS | VARIABLE_OPS


def refuse_damaged(graph: Graph) -> None:
    """Raise `SourceError` naming a node that takes what is not there, or has no type."""
    for node in graph:
        for end in graph.inputs(node.name):
            if end.node not in graph:
                raise SourceError(
                    f"The graph is damaged: '{node.name}' ({node.op}) takes '{end.node}', which is "
                    "not in it."
                )
        if node.op in _TYPED and not node.attr["dtype"].type:
            raise SourceError(f"The graph is damaged: '{node.name}' ({node.op}) has no dtype.")
