"""What a source holds, counted: its parameters, what freezing would drop, ops nobody knows here."""

from collections import Counter
from typing import Any

from freezing.graph.flow import Flow
from freezing.graph.graph import Graph, called_functions, op_def
from freezing.graph.kinds import KINDS
from freezing.graph.weights import Weight, node_bytes, weights
from freezing.inspecting.packages import registering_package
from worker.models.inspection import Dropped, Finding, LayerFact, Parameters, UnknownOp

_MOST_LAYERS = 500
_MOST_VARIABLES = 50  # of one layer


def held_weights(flow: Flow, kept: Graph) -> list[Weight]:
    """Return the weights of what is kept: its variables, or a frozen graph's constants."""
    return weights(kept, kept.nodes, flow.weights)


def parameters(flow: Flow, kept: Graph) -> Parameters:
    """Return how many parameters there are, and those that are kept, by layer."""
    everything = [
        one
        for one in weights(flow.graph, flow.graph.nodes, flow.weights)
        if flow.kinds[one.name] != "optimizer_slots"
    ]
    held = held_weights(flow, kept)
    layers: dict[str, list[Weight]] = {}
    for one in held:
        layers.setdefault(one.name.rpartition("/")[0] or one.name, []).append(one)
    rows = [_layer(name, found) for name, found in layers.items()]
    return Parameters(
        total=sum(one.parameters for one in everything),
        bytes=sum(one.bytes for one in everything),
        kept=sum(one.parameters for one in held),
        kept_bytes=sum(one.bytes for one in held),
        layers=rows[:_MOST_LAYERS],
        layers_left_out=max(0, len(rows) - _MOST_LAYERS),
    )


def _layer(name: str, found: list[Weight]) -> LayerFact:
    variables = []
    for one in found:
        shape = "x".join(str(side) for side in one.shape) or "scalar"
        variables.append(f"{one.name.rpartition('/')[2]} {shape}")
    if len(variables) > _MOST_VARIABLES:
        left_out = len(variables) - _MOST_VARIABLES
        variables = [*variables[:_MOST_VARIABLES], f"and {left_out} more"]
    return LayerFact(
        name=name,
        variables=variables,
        parameters=sum(one.parameters for one in found),
        bytes=sum(one.bytes for one in found),
    )


def dropped(flow: Flow, kept: set[str]) -> list[Dropped]:
    """Return, by kind, what freezing would leave behind; kinds of which there is nothing too."""
    nodes: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for name, kind in flow.kinds.items():
        if name not in kept:
            nodes[kind] += 1
            sizes[kind] += node_bytes(flow.graph.nodes[name])
    return [Dropped(kind=kind, nodes=nodes[kind], bytes=sizes[kind]) for kind in KINDS]


def unknown_ops(graph: Graph, used: set[str]) -> list[UnknownOp]:
    """Return the ops that this TensorFlow does not have, those that outputs need first."""
    needed = {id(node) for node in _with_bodies(graph, [graph.nodes[name] for name in used])}
    found: dict[str, UnknownOp] = {}
    everything = _with_bodies(graph, list(graph))
    counts = Counter(node.op for node in everything)
    for node in everything:
        if op_def(node.op) is not None or node.op in graph.functions:
            continue
        before = found.get(node.op)
        found[node.op] = UnknownOp(
            op=node.op,
            count=counts[node.op],
            example=before.example if before else node.name,
            package=registering_package(node.op),
            needed=id(node) in needed or bool(before and before.needed),
        )
    return sorted(found.values(), key=lambda one: (not one.needed, one.op))


def about_unknown_ops(unknown: list[UnknownOp]) -> list[Finding]:
    """Return a finding for each op that the outputs need, or one note for all that they do not."""
    found = [
        Finding(
            code="unknown_op",
            level="error",
            message=f"The outputs need the op {one.op}, which this TensorFlow does not have. "
            + (f"It comes with {one.package}." if one.package else "Its package is not known."),
            nodes=[one.example],
        )
        for one in unknown
        if one.needed
    ]
    idle = [one.op for one in unknown if not one.needed]
    if idle:
        found.append(
            Finding(
                code="unknown_ops_unused",
                level="note",
                message=f"This TensorFlow does not have the op(s) {', '.join(idle)}; the outputs "
                "do not need them.",
            )
        )
    return found


def _with_bodies(graph: Graph, nodes: list[Any]) -> list[Any]:
    """Return the nodes and those of every function that they can reach."""
    names = called_functions(nodes, graph.functions)
    return [*nodes, *(node for name in names for node in graph.functions[name].node_def)]
