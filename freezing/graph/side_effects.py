"""What a graph only does besides answering: assertions, prints, updates, and orders to run them."""

from typing import Any

import tensorflow as tf

from freezing.graph.graph import (
    CONTROL,
    CONTROL_FLOW_OPS,
    Endpoint,
    Graph,
    make_identity,
    op_def,
)


def drop_side_effects(graph: Graph) -> None:
    """Remove, in place, control dependencies that serving does not need.

    Without branches and loops none is needed: what is left has no side effect. With them they keep
    a node in its branch or loop. Then only those on nodes with side effects (assertions, updates)
    go, and the node runs after what these ran after.
    """
    for node in graph:
        if node.op == "Print":
            make_identity(node, graph.data_inputs(node.name)[0], node.attr["T"].type)
    if not graph.has_control_flow:
        for node in graph:
            ends = graph.data_inputs(node.name)
            del node.input[:]
            node.input.extend(end.as_input() for end in ends)
        return
    inside = inside_control_flow(graph)
    replaced: dict[str, list[str]] = {}
    pivots: dict[str, Any] = {}
    for node in graph:
        after: list[str] = []
        for end in graph.inputs(node.name):
            if end.output == CONTROL:
                after.extend(_anchors(graph, end.node, inside, pivots, set()))
        replaced[node.name] = list(dict.fromkeys(after))
    graph.nodes.update(pivots)
    for name, after in replaced.items():
        node = graph.nodes[name]
        ends = graph.data_inputs(name)
        del node.input[:]
        node.input.extend([end.as_input() for end in ends] + ["^" + other for other in after])


def inside_control_flow(graph: Graph) -> set[str]:
    """Return the nodes that may not run, or run several times: all behind a Switch or Enter."""
    return graph.descendants(node.name for node in graph if node.op in CONTROL_FLOW_OPS)


def _anchors(
    graph: Graph, name: str, inside: set[str], pivots: dict[str, Any], seen: set[str]
) -> list[str]:
    """Return nodes without side effect that run exactly if `name` does."""
    if name not in inside or name in seen:
        return []
    seen.add(name)
    node = graph.nodes[name]
    definition = op_def(node.op)
    if definition is not None and not definition.is_stateful and node.op != "NoOp":
        return [name]
    found = []
    for end in graph.inputs(name):
        if end.output == CONTROL:
            found.extend(_anchors(graph, end.node, inside, pivots, seen))
        elif graph.nodes[end.node].op in ("Switch", "RefSwitch"):
            found.append(_pivot(graph, end, pivots))
        else:
            found.extend(_anchors(graph, end.node, inside, pivots, seen))
    return found


def _pivot(graph: Graph, end: Endpoint, pivots: dict[str, Any]) -> str:
    """Return an Identity of one output of a Switch: a control dependency cannot name which."""
    name = f"{end.node}/taken_{end.output}"
    if name not in graph and name not in pivots:
        node = tf.compat.v1.NodeDef(name=name)
        make_identity(node, end, graph.nodes[end.node].attr["T"].type)
        pivots[name] = node
    return name
