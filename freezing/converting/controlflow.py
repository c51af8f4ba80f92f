"""Branches that are decided once a placeholder has its value: the untaken one goes.

TensorFlow 1 builds `tf.cond` from Switch, which sends a tensor to one of two branches, and Merge,
which takes what arrives. What lies behind the output of a Switch that is never taken is dead, and
so is everything that takes something dead, up to a Merge.
"""

from typing import Any

import tensorflow as tf

from freezing.graph.graph import (
    CONTROL,
    PLACEHOLDER_OPS,
    VARIABLE_OPS,
    Endpoint,
    Graph,
    const_node,
    make_identity,
    op_def,
)
from worker.errors import FreezeError

_SWITCHES = frozenset({"Switch", "RefSwitch"})
_MERGES = frozenset({"Merge", "RefMerge"})
_NEXT = frozenset({"NextIteration", "RefNextIteration"})
# What hands its first input on unchanged wherever it is alive.
_PASSING = _SWITCHES | {"Enter", "RefEnter", "Identity", "RefIdentity"}


def fold_branches(graph: Graph, outputs: list[str]) -> None:
    """Remove, in place, the branches that constant predicates never take.

    Raises `FreezeError` where an output lies in one of them.
    """
    while True:
        decided = _decide(graph)
        if not decided:
            return
        dead_nodes, dead_ends = _spread(graph, decided)
        for name in outputs:
            if name in dead_nodes:
                raise FreezeError(
                    f"The output '{name}' lies in a branch that is not taken with the values "
                    "that were set."
                )
        _rewrite(graph, decided, dead_nodes, dead_ends)


def _decide(graph: Graph) -> dict[str, bool]:
    """Return the Switch nodes whose predicate is known, with its value."""
    predicates: dict[str, Endpoint] = {}
    for node in graph:
        if node.op in _SWITCHES and not _in_loop_condition(graph, node):
            predicates[node.name] = graph.data_inputs(node.name)[1]
    values: dict[Endpoint, bool | None] = {}
    for end in predicates.values():
        if end not in values:
            values[end] = _evaluate(graph, end)
    found = {name: values[end] for name, end in predicates.items()}
    return {name: value for name, value in found.items() if value is not None}


def _in_loop_condition(graph: Graph, node: Any) -> bool:
    return bool(graph.nodes[graph.data_inputs(node.name)[1].node].op == "LoopCond")


def _evaluate(graph: Graph, end: Endpoint) -> bool | None:
    """Return the value of a scalar bool that depends on constants alone, else None."""
    needed: dict[str, Any] = {}
    waiting = [end.node]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        node = graph.nodes[name]
        passing = node.op in _PASSING
        if not passing and not _is_pure(node):
            return None
        copy = tf.compat.v1.NodeDef()
        copy.CopyFrom(node)
        inputs = graph.data_inputs(name)
        if passing:
            inputs = inputs[:1]
            make_identity(copy, inputs[0], node.attr["T"].type)
        del copy.input[:]
        # Of a Switch both outputs are what it takes, and its copy has only one.
        copy.input.extend(
            source.node if graph.nodes[source.node].op in _SWITCHES else source.as_input()
            for source in inputs
        )
        needed[name] = copy
        waiting.extend(source.node for source in inputs)
    part = graph.subgraph([]).to_graph_def()
    part.node.extend(needed.values())
    index = 0 if graph.nodes[end.node].op in _SWITCHES else end.output
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(part, name="")
        value = session.run(f"{end.node}:{index}")
    return bool(value) if value.size == 1 else None


def _is_pure(node: Any) -> bool:
    definition = op_def(node.op)
    return (
        definition is not None
        and not definition.is_stateful
        and node.op not in PLACEHOLDER_OPS | VARIABLE_OPS | _MERGES
        and node.op not in ("LoopCond", "Exit", "NextIteration")
        and not any(value.HasField("func") or value.list.func for value in node.attr.values())
    )


def _spread(graph: Graph, decided: dict[str, bool]) -> tuple[set[str], set[Endpoint]]:
    """Return the nodes that never run, and the outputs of living nodes that never come."""
    dead_ends = {Endpoint(name, 0 if value else 1) for name, value in decided.items()}
    dead: set[str] = set()
    consumers = graph.consumers()
    waiting = [taker for end in dead_ends for taker in consumers[end.node]]
    while waiting:
        name = waiting.pop()
        if name not in dead and _dies(graph, name, dead, dead_ends):
            dead.add(name)
            waiting.extend(consumers[name])
    return dead, dead_ends


def _dies(graph: Graph, name: str, dead: set[str], dead_ends: set[Endpoint]) -> bool:
    arrives = [
        end.node not in dead and (end.output == CONTROL or end not in dead_ends)
        for end in graph.inputs(name)
    ]
    if graph.nodes[name].op not in _MERGES:
        return not all(arrives)
    data = graph.data_inputs(name)
    # A loop comes round again only if it was entered.
    again = [graph.nodes[end.node].op in _NEXT for end in data]
    return not any(
        here and not loop for here, loop in zip(arrives[: len(data)], again, strict=True)
    )


def _rewrite(
    graph: Graph, decided: dict[str, bool], dead: set[str], dead_ends: set[Endpoint]
) -> None:
    moved: dict[Endpoint, Endpoint] = {}
    for name, value in decided.items():
        if name in dead:
            continue
        node = graph.nodes[name]
        make_identity(node, graph.data_inputs(name)[0], node.attr["T"].type)
        moved[Endpoint(name, int(value))] = Endpoint(name, 0)
    for node in [node for node in graph if node.op in _MERGES and node.name not in dead]:
        _narrow_merge(graph, node, dead, dead_ends, moved)
    for name in dead:
        del graph.nodes[name]
    for node in graph:
        inputs = [moved.get(end, end) for end in graph.inputs(node.name)]
        del node.input[:]
        # Nothing of what lives takes something dead any more; what remains are orders to run after
        # nodes that are gone.
        node.input.extend(end.as_input() for end in inputs if end.node in graph)


def _narrow_merge(
    graph: Graph,
    node: Any,
    dead: set[str],
    dead_ends: set[Endpoint],
    moved: dict[Endpoint, Endpoint],
) -> None:
    """Take the dead inputs from a Merge; one with a single living input becomes an Identity."""
    data = graph.data_inputs(node.name)
    living = [end for end in data if end.node not in dead and end not in dead_ends]
    if len(living) == len(data):
        return
    if len(living) > 1:
        after = [text for text in node.input if text.startswith("^")]
        del node.input[:]
        node.input.extend([*(end.as_input() for end in living), *after])
        node.attr["N"].i = len(living)
        return
    index = const_node(graph.unused_name(f"{node.name}/value_index"), data.index(living[0]), 3)
    graph.nodes[index.name] = index
    moved[Endpoint(node.name, 1)] = Endpoint(index.name, 0)
    make_identity(node, living[0], node.attr["T"].type)
