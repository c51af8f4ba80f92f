"""State that a model keeps from one run to the next, which freezing would stop by accident.

A variable that the graph changes while it answers, and that the answers depend on, is such a state:
that of a recurrent layer with `stateful=True`, a counter, an average that is used as it moves.
Frozen, it would stay what it was when the model was saved. What only training changes is gone with
its branches by the time this is asked, and what is changed and never read matters to no answer.
"""

from typing import Any

from freezing import allowed_ops
from freezing.audit import UnsupportedGraphError
from freezing.graphs import CONTROL_FLOW_OPS, VARIABLE_OPS, Endpoint, Graph

_READING = VARIABLE_OPS | {
    "DestroyResourceOp",
    "DisableCopyOnRead",
    "IsVariableInitialized",
    "ReadVariableOp",
    "ResourceGather",
    "ResourceGatherNd",
    "TemporaryVariable",
    "DestroyTemporaryVariable",
    "VarIsInitializedOp",
    "VariableShape",
    "_ReadVariablesOp",
    "_VarHandlesOp",
}
_CHANGING = allowed_ops.VARIABLES - _READING
_HANDING_ON = CONTROL_FLOW_OPS | {"Identity", "RefIdentity"}


def changes(graph: Graph) -> list[str]:
    """Return the nodes that change a variable."""
    return [node.name for node in graph if node.op in _CHANGING]


def refuse_state(graph: Graph, outputs: list[str]) -> None:
    """Raise `UnsupportedGraphError` where the outputs depend on a variable that the graph changes.

    Branches that are never taken must be gone.
    """
    changing = changes(graph)
    if not changing:
        return
    read = _read(graph, outputs)
    for name in changing:
        variable = _variable(graph, name)
        if variable in read:
            raise UnsupportedGraphError(
                f"The outputs depend on the variable '{variable}', which '{name}' "
                f"({graph.nodes[name].op}) changes each time the graph runs: such a state, as of a "
                "stateful recurrent layer, a counter or a moving average, cannot be frozen. If "
                "only training changes it, set the placeholder that switches training, for "
                "instance --set is_training=false."
            )


def _read(graph: Graph, outputs: list[str]) -> set[str]:
    """Return the nodes that the outputs take something of; orders to run do not count."""
    found: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name in found or name not in graph:
            continue
        found.add(name)
        waiting.extend(end.node for end in _used(graph, graph.nodes[name]))
    return found


def _used(graph: Graph, node: Any) -> list[Endpoint]:
    ends = graph.data_inputs(node.name)
    # In training mode the moving averages go in, and what is normalised does not depend on them.
    in_training = node.op.startswith("FusedBatchNorm") and (
        "is_training" not in node.attr or node.attr["is_training"].b
    )
    return ends[:3] if in_training else ends


def _variable(graph: Graph, name: str) -> str:
    """Return the variable that a node changes: its first input, wherever that comes from."""
    node = graph.nodes[graph.data_inputs(name)[0].node]
    seen = {name}
    while node.op in _HANDING_ON and node.name not in seen:
        seen.add(node.name)
        node = graph.nodes[graph.data_inputs(node.name)[0].node]
    return str(node.name)
