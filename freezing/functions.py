"""Function calls, and `If` and `While` with functions for branches, put flat into the graph.

TensorFlow's own function optimizer does it; it runs nothing. What comes out are the ops inside
the functions, with Switch and Merge for control flow, so that variables, branches and dead parts
are handled in one way wherever they come from.
"""

from typing import Any

import tensorflow as tf
from tensorflow.python.grappler import tf_optimizer

from freezing.attributes import strip_places
from freezing.graphs import Graph, called_functions
from freezing.reasons import reason
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
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        meta = tf.compat.v1.train.export_meta_graph(graph_def=graph_def, clear_devices=True)
    meta.collection_def["train_op"].node_list.value.extend(keep)
    config = tf.compat.v1.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1  # small graphs too
    rewriting.optimizers.append("function")
    rewriting.function_optimization = rewriting.AGGRESSIVE
    try:
        flat = tf_optimizer.OptimizeGraph(config, meta)
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise FreezeError(
            f"The functions of the graph cannot be put in line: {reason(error)}."
        ) from error
    strip_places(flat)  # inlined ops are placed beside what called them
    return Graph(flat)


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
