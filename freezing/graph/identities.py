"""Nodes that hand on what they take: their consumers take it from where it comes."""

from collections.abc import Collection

from freezing.graph.graph import CONTROL, Endpoint, Graph
from freezing.graph.side_effects import inside_control_flow

_HANDING_ON = frozenset({"Identity", "StopGradient", "PreventGradient", "Snapshot"})


def bypass_identities(graph: Graph, keep: Collection[str]) -> None:
    """Let consumers take, in place, what an Identity takes, but for the nodes named `keep`.

    Where there are branches and loops, those inside them and those that others only run after stay:
    they say when something runs.
    """
    anchored: set[str] = set()
    if graph.has_control_flow:
        anchored = inside_control_flow(graph)
        for node in graph:
            after = [end.node for end in graph.inputs(node.name) if end.output == CONTROL]
            anchored.update([node.name, *after] if after else [])
    passed: dict[Endpoint, Endpoint] = {}
    for node in graph:
        if node.op in _HANDING_ON and node.name not in keep and node.name not in anchored:
            passed[Endpoint(node.name, 0)] = graph.data_inputs(node.name)[0]
    for node in graph:
        ends = []
        for end in graph.inputs(node.name):
            while end in passed:
                end = passed[end]  # noqa: PLW2901 - followed to its origin
            ends.append(end)
        del node.input[:]
        node.input.extend(end.as_input() for end in ends)
