"""Which of several candidates of the same rank is to be preferred, by how the network is built."""

from typing import Any

from freezing.choosing.ranking import Output, is_row, shown
from freezing.graph.content import Content
from freezing.graph.flow import Flow
from freezing.graph.graph import PLACEHOLDER_OPS, VARIABLE_OPS, Endpoint, Graph


def settle(flow: Flow, candidates: list[Output], preferred: Endpoint | None) -> None:
    """Demote, in place, those beside which another one of the same rank is to be preferred."""
    groups: dict[tuple[int, ...], list[Output]] = {}
    for one in candidates:
        groups.setdefault(one.standing, []).append(one)
    for alike in groups.values():
        # What a detector finds belongs together, and of what is disputed none is better.
        apart = [one.disputed or one.content is Content.DETECTIONS for one in alike]
        group = [one for one, is_apart in zip(alike, apart, strict=True) if not is_apart]
        if len(group) > 1:
            _settle_replicas(flow.graph, group)
            _settle_early_ones(flow, [one for one in group if not one.demoted])
            _settle_shapes([one for one in group if not one.demoted])
            _settle_names([one for one in group if not one.demoted], preferred)


def _settle_replicas(graph: Graph, group: list[Output]) -> None:
    """Of the same network with the same variables, built twice, prefer the one not for training."""
    kept: dict[tuple[Any, ...], tuple[int, Output]] = {}
    for one in group:
        needed = graph.ancestors([one.end.node], control=False)
        variables = frozenset(name for name in needed if graph.nodes[name].op in VARIABLE_OPS)
        if not variables:
            continue
        training = sum(
            graph.nodes[name].op.startswith("Random") or graph.nodes[name].op in PLACEHOLDER_OPS
            for name in needed
        )
        mark = (variables, one.op, tuple(one.shape or []))
        if mark not in kept:
            kept[mark] = (training, one)
            continue
        best_training, best = kept[mark]
        worse, better = (best, one) if training < best_training else (one, best)
        kept[mark] = (min(training, best_training), better)
        worse.demoted = True
        worse.reasons.append(f"the same network with the same variables as {shown(better.end)}")


def _settle_early_ones(flow: Flow, group: list[Output]) -> None:
    """Prefer the one that goes through much more of the network than those that leave it early."""
    layers = {id(one): _layers(flow, one.end.node) for one in group}
    for one in group:
        for other in group:
            own = layers[id(one)] - layers[id(other)]
            further = layers[id(other)] - layers[id(one)]
            if len(further) >= 3 * max(len(own), 1) and len(further) > len(own) + 3:
                one.demoted = True
                one.reasons.append(
                    f"leaves the network early: {shown(other.end)} goes through "
                    f"{len(further)} more layers"
                )
                break


def _settle_shapes(group: list[Output]) -> None:
    """Prefer the only one that is a row of scores to single numbers and to maps of features.

    Rows of something, such as the boxes of a detector, are answers too.
    """
    rows = [one for one in group if is_row(one.shape)]
    others = [one for one in group if one is not (rows[0] if rows else None)]
    if len(rows) == 1 and all(one.shape is not None and len(one.shape) in (1, 4) for one in others):
        for one in others:
            one.demoted = True
            one.reasons.append("not one row of numbers per image")


def _settle_names(group: list[Output], preferred: Endpoint | None) -> None:
    """Prefer what a signature gives a name for scores."""
    if any(one.end == preferred and one.signature == 0 for one in group):
        for one in group:
            one.demoted = one.end != preferred


def _layers(flow: Flow, name: str) -> set[str]:
    """Return the nodes that the candidate needs and that put something through weights."""
    return {
        other
        for other in flow.graph.ancestors([name], control=False)
        if other not in flow.weights
        and any(end.node in flow.weights for end in flow.graph.data_inputs(other))
    }
