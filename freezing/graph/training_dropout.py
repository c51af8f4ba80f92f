"""Dropout that training left on, turned off.

Every framework scales what dropout keeps by one over its share, `x / keep_prob * mask`, so that the
layer outside of training is `x` itself. Where the numbers of a graph say just that, it is a dropout
and can be taken out, whichever constants they come from. Where a person said how much to keep, by a
value for a placeholder, nothing is known here and nothing is done.
"""

from collections.abc import Iterator
from typing import Any

from freezing.graph.dropout import UNIFORM_OPS, ranges
from freezing.graph.graph import Endpoint, Graph, make_identity

_LESS = frozenset({"Less", "LessEqual"})
_GREATER = frozenset({"Greater", "GreaterEqual"})
_SELECTS = frozenset({"Select", "SelectV2"})
_DIVISIONS = frozenset({"RealDiv", "Div"})
_HANDING_ON = frozenset({"Identity", "Cast", "StopGradient"})
_SAME = 1e-3  # relative: scales are written with few digits, or in half precision


def turn_off_dropout(graph: Graph) -> list[str]:
    """Let each dropout hand on, in place, what it takes; return the nodes that were dropouts."""
    if not any(node.op in UNIFORM_OPS for node in graph):
        return []
    known = ranges(graph)
    consumers = graph.consumers()
    found: dict[str, Endpoint] = {}
    for mask, share in _masks(graph, known):
        if share == 1:  # that is off, and is taken out when it is frozen
            continue
        for name in _users(graph, mask, consumers):
            kept = _kept(graph, graph.nodes[name], mask, share, known, consumers)
            if kept is not None:
                found[kept[0]] = kept[1]
    for name, source in found.items():
        node = graph.nodes[name]
        make_identity(node, source, node.attr["T"].type)
    return list(found)


def _masks(graph: Graph, known: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Give nodes that are true, or 1, for a share of all elements by chance, and that share."""
    random = {node.name for node in graph if node.op in UNIFORM_OPS}
    for name in graph.descendants(random):
        node = graph.nodes[name]
        inputs = [end.node for end in graph.data_inputs(name)]
        if not all(one in known for one in inputs):
            continue
        if node.op in _LESS | _GREATER:
            moving = [one for one in inputs if _width(known[one]) > 0]
            if len(moving) != 1:
                continue
            low, high = known[moving[0]]
            fixed = known[inputs[1 - inputs.index(moving[0])]][0]
            below = min(1.0, max(0.0, float((fixed - low) / (high - low))))
            is_below = (node.op in _LESS) == (inputs[0] == moving[0])
            yield name, below if is_below else 1 - below
        elif node.op == "Floor" and _width(known[inputs[0]]) > 0:
            low, high = known[inputs[0]]
            if 0 <= low < 1 <= high < 2:
                yield name, float((high - 1) / (high - low))


def _users(graph: Graph, mask: str, consumers: dict[str, list[str]]) -> Iterator[str]:
    """Give the nodes that a mask decides in, behind those that hand it on."""
    waiting = [mask]
    for name in waiting:
        for taker in consumers[name]:
            if graph.nodes[taker].op in _HANDING_ON:
                waiting.append(taker)
            elif graph.nodes[taker].op == "Mul" or graph.nodes[taker].op in _SELECTS:
                yield taker


def _kept(
    graph: Graph,
    node: Any,
    mask: str,
    share: float,
    known: dict[str, Any],
    consumers: dict[str, list[str]],
) -> tuple[str, Endpoint] | None:
    """Return a node that is a dropout's result, and what the dropout takes."""
    inputs = graph.data_inputs(node.name)
    if node.op in _SELECTS:
        if not _is_zero(graph, inputs[2], known):
            return None
        taken = inputs[1]
    else:
        masked = [end for end in inputs if _comes_from(graph, end, mask)]
        others = [end for end in inputs if end not in masked]
        if len(others) != 1:
            return None
        taken = others[0]
    before = _scaled(graph, taken, known)
    if before is not None and _is_one(before[1] * share):
        return node.name, before[0]
    takers = consumers[node.name]
    after = _scaled(graph, Endpoint(takers[0], 0), known) if len(takers) == 1 else None
    if after is not None and after[0].node == node.name and _is_one(after[1] * share):
        return takers[0], taken
    return None


def _scaled(graph: Graph, end: Endpoint, known: dict[str, Any]) -> tuple[Endpoint, float] | None:
    """Return what the tensor is a constant multiple of, and that constant."""
    node = graph.nodes[end.node]
    if node.op != "Mul" and node.op not in _DIVISIONS:
        return None
    first, second = graph.data_inputs(node.name)[:2]
    if _is_constant(known, second):
        by = float(known[second.node][0])
        if node.op == "Mul":
            return first, by
        return (first, 1 / by) if by else None
    if node.op == "Mul" and _is_constant(known, first):
        return second, float(known[first.node][0])
    return None


def _is_zero(graph: Graph, end: Endpoint, known: dict[str, Any]) -> bool:
    if graph.nodes[end.node].op == "ZerosLike":
        return True
    return _is_constant(known, end) and bool(known[end.node][0] == 0)


def _comes_from(graph: Graph, end: Endpoint, mask: str) -> bool:
    while end.node != mask and graph.nodes[end.node].op in _HANDING_ON:
        end = graph.data_inputs(end.node)[0]
    return bool(end.node == mask)


def _is_constant(known: dict[str, Any], end: Endpoint) -> bool:
    return end.node in known and _width(known[end.node]) == 0


def _width(bounds: Any) -> float:
    return 0.0 if isinstance(bounds[0], bool) else float(bounds[1] - bounds[0])


def _is_one(value: float) -> bool:
    return abs(value - 1) <= _SAME
