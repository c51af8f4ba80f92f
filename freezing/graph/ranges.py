"""Graphs of quantisation-aware training, in which running updates the ranges that are used.

`create_training_graph` of TensorFlow 1 lets each fake quantisation take the result of an update of
its range by the batch's smallest and largest values; `create_eval_graph` takes the variables as
they are. What a graph of the first kind answers depends on the batch, and would change it for ever.
"""

from typing import Any

from freezing.graph.graph import VARIABLE_OPS, Endpoint

_QUANTISING = ("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel")
_UPDATES = frozenset({"Assign", "AssignSub", "AssignAdd"})
_RESOURCE_UPDATES = frozenset({"AssignVariableOp", "AssignSubVariableOp", "AssignAddVariableOp"})


def settle_ranges(graph_def: Any) -> int:
    """Let, in place, fake quantisation take its ranges as they are stored; return how many."""
    nodes = {node.name: node for node in graph_def.node}
    settled = 0
    for node in graph_def.node:
        if not node.op.startswith(_QUANTISING) or len(node.input) < 3:
            continue
        for place in (1, 2):
            settled += _settle(nodes, node, place)
    return settled


def _settle(nodes: dict[str, Any], node: Any, place: int) -> bool:
    given = nodes.get(Endpoint.parse(node.input[place]).node)
    seen: set[str] = set()
    while given is not None and given.op == "Identity" and given.name not in seen:
        seen.add(given.name)
        given = nodes.get(Endpoint.parse(given.input[0]).node) if given.input else None
    if given is None or not given.input:
        return False
    if given.op in _UPDATES:
        variable = nodes.get(Endpoint.parse(given.input[0]).node)
        if variable is not None and variable.op in VARIABLE_OPS:
            node.input[place] = variable.name
            return True
        return False
    if given.op != "ReadVariableOp":
        return False
    after = [text for text in given.input if _is_update(nodes, text)]
    for text in after:
        given.input.remove(text)
    return bool(after)


def _is_update(nodes: dict[str, Any], text: str) -> bool:
    node = nodes.get(text.removeprefix("^")) if text.startswith("^") else None
    return node is not None and node.op in _RESOURCE_UPDATES
