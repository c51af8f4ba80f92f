"""A training graph that answers with moving averages, in place of the statistics of a batch.

Training normalises with the mean and the variance of a batch, and keeps moving averages of both in
variables: those are what the same network answers with afterwards. A graph that was saved as it was
trained still takes the former.
"""

from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf

from freezing.graph.graph import (
    CONTROL,
    VARIABLE_OPS,
    Endpoint,
    Graph,
    base_type,
    make_identity,
)
from freezing.graph.moving_averages import (
    FUSED,
    Average,
    averages,
)


def statistics(whole: Graph, outputs: Collection[Endpoint]) -> list[Average]:
    """Return the averages that the graph keeps of what the outputs need of a batch.

    None where the outputs take some of those averages as well: they are more than a memory then,
    as in a normalisation that corrects the batch by them (`renorm`).
    """
    known = [one for one in averages(whole) if not _is_weight(whole, one.follows)]
    needed = _needed(whole, outputs, {one.update for one in known})
    kept = [one for one in known if one.follows.node in needed]
    if any(one.variable in needed for one in kept):
        return []
    return _whole_pairs(whole, kept)


def use(graph: Graph, whole: Graph, found: Sequence[Average], outputs: Sequence[Endpoint]) -> None:
    """Let a part of `whole` take, in place, the averages instead of what they follow.

    The variables are taken over from `whole`. What moves them goes.
    """
    reads = {one.variable: _read(graph, whole, one.variable) for one in found}
    moved = {one.follows: reads[one.variable] for one in found}
    fused = {one.follows.node for one in found if graph.nodes[one.follows.node].op in FUSED}
    updates = {one.update for one in averages(whole)}
    for node in list(graph):
        if node.name in {end.node for end in reads.values()}:
            continue
        ends = [moved.get(end, end) for end in graph.inputs(node.name)]
        del node.input[:]
        node.input.extend(
            end.as_input() for end in ends if end.output != CONTROL or end.node not in updates
        )
    for name in fused:
        node = graph.nodes[name]
        node.input[3:5] = [moved[Endpoint(name, index)].as_input() for index in (1, 2)]
        node.attr["is_training"].b = False
        node.attr.pop("exponential_avg_factor", None)
    graph.keep(graph.ancestors([end.node for end in outputs]))


def _needed(graph: Graph, outputs: Collection[Endpoint], stop: Collection[str]) -> set[str]:
    """Return the nodes whose data the outputs take, leaving out what nodes take and do not use.

    A fused normalisation in training mode is given its averages and normalises with the batch.
    """
    found: set[str] = set()
    waiting = [end.node for end in outputs]
    while waiting:
        name = waiting.pop()
        if name in found or name not in graph:
            continue
        found.add(name)
        if name in stop:
            continue
        ends = graph.data_inputs(name)
        if is_training(graph.nodes[name]):
            ends = ends[:3]
        waiting.extend(end.node for end in ends)
    return found


def is_training(node: Any) -> bool:
    """Whether the node is a fused normalisation with the statistics of its batch."""
    return node.op in FUSED and bool(node.attr["is_training"].b)


def _is_weight(graph: Graph, end: Endpoint) -> bool:
    """Whether the tensor is a variable: an average of that is one of weights."""
    node = graph.nodes.get(end.node)
    return node is None or node.op in VARIABLE_OPS | {"ReadVariableOp"}


def _whole_pairs(graph: Graph, kept: list[Average]) -> list[Average]:
    """Return the averages, less those of a fused normalisation that keeps only one of its two."""
    ends = {one.follows for one in kept}
    return [
        one
        for one in kept
        if graph.nodes[one.follows.node].op not in FUSED
        or {Endpoint(one.follows.node, 1), Endpoint(one.follows.node, 2)} <= ends
    ]


def _read(graph: Graph, whole: Graph, variable: str) -> Endpoint:
    """Return the value of the variable, which is added to the graph with its read."""
    if variable not in graph:
        node = tf.compat.v1.NodeDef()
        node.CopyFrom(whole.nodes[variable])
        del node.input[:]
        graph.nodes[variable] = node
    dtype = base_type(graph.nodes[variable].attr["dtype"].type)
    read = tf.compat.v1.NodeDef(name=graph.unused_name(f"{variable}/kept"))
    if graph.nodes[variable].op == "VarHandleOp":
        read.op = "ReadVariableOp"
        read.input.append(variable)
        read.attr["dtype"].type = dtype
    else:
        make_identity(read, Endpoint(variable, 0), dtype)
    graph.nodes[read.name] = read
    return Endpoint(read.name, 0)
