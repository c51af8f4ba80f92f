"""Function calls, and `If` and `While` with functions for branches, put flat into the graph.

TensorFlow's own function optimizer does it; it runs nothing. What comes out are the ops inside
the functions, with Switch and Merge for control flow, so that variables, branches and dead parts
are handled in one way wherever they come from.
"""

from typing import Any

from freezing.graph.graph import Graph, called_functions
from freezing.graph.grappler import ERRORS, rewrite
from freezing.running.reasons import reason
from worker.errors import FreezeError

_CONTROL_FLOW = frozenset({"If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase"})
# Attributes for which a call is left standing: what a compiler would take as one piece, such as the
# grouped convolutions of Keras 3.
_KEPT_APART = ("_noinline", "_XlaMustCompile", "_XlaCompile")


def inline_functions(graph: Graph, keep: list[str]) -> Graph:
    """Return the graph with function calls replaced by what they call.

    `keep` are tensors (`x:0`) that must keep their names: inputs and outputs. A graph without calls
    is returned as it is. Raises `FreezeError` where TensorFlow cannot do it.
    """
    if not called_functions(graph, graph.functions):
        return graph
    graph_def = graph.to_graph_def()
    _prepare(graph_def)
    try:
        return Graph(rewrite(graph_def, ["function"], keep))
    except ERRORS as error:
        raise FreezeError(
            f"The functions of the graph cannot be put in line: {reason(error)}."
        ) from error


def _prepare(graph_def: Any) -> None:
    """Ask for every call to be put in line, whatever the source says."""
    bodies = [function.node_def for function in graph_def.library.function]
    for nodes in [graph_def.node, *bodies]:
        for node in nodes:
            if node.op in _CONTROL_FLOW:
                node.attr["_lower_using_switch_merge"].b = True
            for name in _KEPT_APART:
                node.attr.pop(name, None)
    for function in graph_def.library.function:
        # An implementation for another device would replace the one that is there.
        function.attr.pop("api_implements", None)
        for name in _KEPT_APART:
            function.attr.pop(name, None)
