"""Which nodes of a graph look like its answer."""

from freezing.graphs import PLACEHOLDER_OPS, Graph
from freezing.roles import roles

_SQUASHED = frozenset({"Softmax", "Sigmoid"})
_CROSS_ENTROPY = frozenset({"SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits"})
_PASSING = frozenset({"Identity", "Reshape", "Cast", "StopGradient", "Squeeze"})
_LAST_OPS = frozenset(
    {"BiasAdd", "Add", "AddV2", "MatMul", "BatchMatMulV2", "Mean", "Squeeze", "Reshape", "Identity"}
    | {"LogSoftmax", "Relu", "Tanh", "Mul", "Conv2D"}
)
_LAYER_OPS = frozenset({"BiasAdd", "Add", "AddV2", "MatMul", "BatchMatMulV2"})
_MOST = 8


def output_candidates(graph: Graph) -> list[str]:
    """Return names of nodes that may be the graph's answer, the likeliest kind only.

    Softmax and Sigmoid nodes that depend on an input come first, then what a cross entropy takes
    as logits, then nodes that nothing consumes. A candidate that another one is computed from is
    left out, so that one name means that the choice is clear. At most `_MOST` are returned, the
    last in the graph.
    """
    kinds = roles(graph)
    fed = _fed(graph)
    usable = {name for name in graph.nodes if kinds[name] == "other" and name in fed}
    squashed = {name for name in usable if graph.nodes[name].op in _SQUASHED}
    logits = set(_logits(graph, usable, kinds))
    ends = set(_ends(graph, usable, kinds))
    # A sigmoid in the middle of a network is a gate, and goes with what it opens.
    for found in (
        _without_ancestors(graph, squashed | logits) & squashed - _gates(graph, squashed, ends),
        _without_ancestors(graph, logits),
        _without_ancestors(graph, ends),
    ):
        if found:
            return [name for name in graph.nodes if name in found][-_MOST:]
    return []


def _gates(graph: Graph, squashed: set[str], ends: set[str]) -> set[str]:
    """Return those of `squashed` that a last layer is computed from without further input."""
    found: set[str] = set()
    for name in ends:
        if graph.nodes[name].op in _LAYER_OPS:
            needed = graph.ancestors([name])
            inputs = _placeholders(graph, needed)
            found |= {
                gate
                for gate in squashed & needed
                if _placeholders(graph, graph.ancestors([gate])) == inputs
            }
    return found


def _placeholders(graph: Graph, names: set[str]) -> set[str]:
    return {name for name in names if graph.nodes[name].op in PLACEHOLDER_OPS}


def _fed(graph: Graph) -> set[str]:
    """Return the nodes that depend on a placeholder or on an input pipeline."""
    sources = [
        node.name
        for node in graph
        if node.op in PLACEHOLDER_OPS or "Dequeue" in node.op or node.op.startswith("IteratorGet")
    ]
    consumers = graph.consumers()
    found: set[str] = set()
    waiting = sources
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(consumers[name])
    return found


def _logits(graph: Graph, usable: set[str], kinds: dict[str, str]) -> list[str]:
    found = []
    for node in graph:
        if node.op not in _CROSS_ENTROPY or kinds[node.name] != "other" or not node.input:
            continue
        name = graph.inputs(node.name)[0].node
        # softmax_cross_entropy_with_logits makes its logits flat by a Reshape of its own.
        while graph.nodes[name].op in _PASSING and graph.data_inputs(name):
            name = graph.data_inputs(name)[0].node
        if name in usable:
            found.append(name)
    return found


def _ends(graph: Graph, usable: set[str], kinds: dict[str, str]) -> list[str]:
    consumers = graph.consumers()
    return [
        name
        for name in usable
        if graph.nodes[name].op in _LAST_OPS
        and not any(kinds[taker] in ("other", "queues") for taker in consumers[name])
    ]


def _without_ancestors(graph: Graph, names: set[str]) -> set[str]:
    """Return `names` less those that another of them is computed from."""
    inner: set[str] = set()
    for name in names:
        if name not in inner:
            inner |= (graph.ancestors([name]) & names) - {name}
    return names - inner
