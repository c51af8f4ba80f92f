"""The audit of a graph as it is served: of every node and every function that its bytes hold.

It is made where bytes cross from one who may lie to one who runs them: before a version is
published, by a process that never saw its source, and before a worker loads it. It reads GraphDefs
that somebody parsed, and needs no TensorFlow itself.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from worker.auditing import allowed_ops
from worker.auditing.attributes import fault
from worker.auditing.calls import why_endless
from worker.auditing.refused_ops import why_unsafe
from worker.errors import FreezeError


class ForbiddenModelError(FreezeError):
    """A file that is to be served holds what may not be run."""

    code = "unsafe_graph"


@dataclass(frozen=True, kw_only=True)
class AuditedGraph:
    """What was counted on the way."""

    ops: Mapping[str, int]  # how many nodes of each kind, those of functions among them
    nodes: int  # of the graph itself
    functions: int


def audit_graph(graph_def: Any, *, is_op: Callable[[str], bool] = lambda _: False) -> AuditedGraph:
    """Raise `ForbiddenModelError` where a GraphDef holds anything that may not be served.

    `is_op` says whether TensorFlow has an op of that name, where somebody has TensorFlow.
    """
    functions = {function.signature.name: function for function in graph_def.library.function}
    if len(functions) < len(graph_def.library.function):
        raise ForbiddenModelError("The graph holds two functions of one name.")
    for name in functions:
        if name in allowed_ops.SERVED or name in allowed_ops.VARIABLES or is_op(name):
            raise ForbiddenModelError(f"The graph holds a function with the name of the op {name}.")
    if len(graph_def.library.gradient) or len(graph_def.library.registered_gradients):
        raise ForbiddenModelError(
            "The graph holds gradients of functions, which nothing served has."
        )
    ops: Counter[str] = Counter()
    for node, function in _places(graph_def):
        ops[node.op] += 1
        if node.op in functions:
            continue
        why = fault(node) if node.op in allowed_ops.SERVED else _why(node.op)
        if why is not None:
            where = f"'{node.name}'" + (f" in the function '{function}'" if function else "")
            raise ForbiddenModelError(
                f"The graph holds {where}, an op of kind {node.op}, which {why}."
            )
    endless = why_endless(graph_def)
    if endless is not None:
        raise ForbiddenModelError(f"The graph {endless}.")
    return AuditedGraph(ops=ops, nodes=len(graph_def.node), functions=len(functions))


def _why(op: str) -> str:
    if op in allowed_ops.VARIABLES:
        return "reads or changes a variable"
    return why_unsafe(op) or f"is not on the list of allowed ops ({allowed_ops.VERSION})"


def _places(graph_def: Any) -> Iterator[tuple[Any, str]]:
    """Yield each node with the name of the function that it stands in, else with ""."""
    for node in graph_def.node:
        yield node, ""
    for function in graph_def.library.function:
        for node in function.node_def:
            yield node, function.signature.name
