"""Which entry of a checkpoint belongs into which variable, read from a restore function.

A SavedModel of TensorFlow 2 carries the function that its loader calls to fill the variables. It
is followed from assignment back to entry, never run.
"""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from freezing.graph.graph import Endpoint

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_PASSING = frozenset({"Identity", "IdentityN", "Reshape", "Cast"})
_DEEPEST = 20  # calls within calls


def entries_by_function(graph_def: Any, restore_op: str) -> dict[str, str]:
    """Return for each variable node of the graph the entry that the restore function puts into it.

    `restore_op` is the node that calls the function, "" where there is none.
    """
    functions = {function.signature.name: function for function in graph_def.library.function}
    node = next((one for one in graph_def.node if one.name == restore_op), None)
    if node is None or node.op not in _CALLS:
        return {}
    handles = [Endpoint.parse(text).node for text in node.input if not text.startswith("^")]
    return dict(_assigned(functions, node.attr["f"].func.name, handles, 0))


def _assigned(
    functions: dict[str, Any], name: str, given: list[str], depth: int
) -> Iterator[tuple[str, str]]:
    """Yield variable and entry for each assignment in the function.

    `given` are the outer nodes that it gets as arguments.
    """
    function = functions.get(name)
    if function is None or depth > _DEEPEST:
        return
    names = [argument.name for argument in function.signature.input_arg]
    outer = dict(zip(names, given, strict=False))
    nodes = {node.name: node for node in function.node_def}
    for node in function.node_def:
        inputs = [text for text in node.input if not text.startswith("^")]
        if node.op in _CALLS:
            handles = [outer.get(_source(nodes, text)[0], "") for text in inputs]
            yield from _assigned(functions, node.attr["f"].func.name, handles, depth + 1)
        elif node.op == "AssignVariableOp" and len(inputs) == 2:
            variable = outer.get(_source(nodes, inputs[0])[0])
            entry = _entry(nodes, inputs[1])
            if variable and entry:
                yield variable, entry


def _source(nodes: dict[str, Any], text: str) -> tuple[str, int]:
    """Return what gives the tensor `node:output:index`, behind what only hands it on."""
    while True:
        name, _, rest = text.partition(":")
        index = int(rest.rpartition(":")[2] or 0) if rest else 0
        node = nodes.get(name)
        if node is None or node.op not in _PASSING:
            return name, index
        text = node.input[index if node.op == "IdentityN" else 0]


def _entry(nodes: dict[str, Any], text: str) -> str | None:
    name, index = _source(nodes, text)
    node = nodes.get(name)
    if node is None or node.op != "RestoreV2" or len(node.input) < 2:
        return None
    names = nodes.get(_source(nodes, node.input[1])[0])
    if names is None or names.op != "Const":
        return None
    entries = tf.make_ndarray(names.attr["value"].tensor).ravel()
    return entries[index].decode("utf-8", "replace") if index < len(entries) else None
