"""A frozen graph made smaller and faster without changing what it answers.

What depends on constants alone is computed once, and batch normalisation goes into the layers.
Inputs, outputs, their shapes and what batch sizes the graph takes stay as they are; whether the
answers do is for verification to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from freezing.batch_norm import fold_batch_norms
from freezing.graphs import Endpoint, Graph, placeholder_node
from freezing.grappler import ERRORS, rewrite
from freezing.identities import bypass_identities
from freezing.reasons import reason
from freezing.side_effects import drop_side_effects

# Constants above this stay out of TensorFlow's sight, which copies a graph several times, unless
# something is computed from them alone.
_LARGE_BYTES = 16 * 1024
# Layers whose weights stay out of sight however small: TensorFlow would fold scalings into them by
# itself, and nobody could tell how many.
_WITH_WEIGHTS = frozenset(
    {"Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3D", "MatMul"}
)


@dataclass(frozen=True, kw_only=True)
class Optimised:
    """What optimising did."""

    folded_constants: int  # nodes that were computed and are constants now
    batch_norms: int  # normalisations and scalings that went into layers
    nodes_before: int
    nodes_after: int


def optimise(graph: Graph, tensors: Sequence[str], warnings: list[str]) -> Optimised:
    """Optimise, in place, a graph that is frozen; `tensors` (`x:0`) are its input and outputs."""
    before = len(graph)
    ends = [Endpoint.parse(name) for name in tensors]
    _tidy(graph, ends)
    folded = _fold_constants(graph, tensors, warnings)
    _tidy(graph, ends)
    batch_norms = fold_batch_norms(graph, ends)
    _tidy(graph, ends)
    return Optimised(
        folded_constants=folded,
        batch_norms=batch_norms,
        nodes_before=before,
        nodes_after=len(graph),
    )


def _tidy(graph: Graph, ends: Sequence[Endpoint]) -> None:
    names = [end.node for end in ends]
    drop_side_effects(graph)
    bypass_identities(graph, names)
    graph.keep(graph.ancestors(names))


def _fold_constants(graph: Graph, tensors: Sequence[str], warnings: list[str]) -> int:
    """Let TensorFlow compute what depends on constants; return how many nodes it has replaced.

    It leaves alone what would make the graph larger (tensorflow/core/grappler/optimizers/
    constant_folding.cc, kMaxConstantSize).
    """
    aside = {name: graph.nodes[name] for name in _out_of_sight(graph)}
    for name, node in aside.items():
        stand_in = placeholder_node(
            name, node.attr["dtype"].type, node.attr["value"].tensor.tensor_shape
        )
        stand_in.input.extend(node.input)
        graph.nodes[name] = stand_in
    constants = {node.name for node in graph if node.op == "Const"}
    try:
        found: dict[str, Any] | None = {
            node.name: node for node in rewrite(graph.to_graph_def(), ["constfold"], tensors).node
        }
    except ERRORS as error:
        found = None
        warnings.append(f"Constants could not be folded: {reason(error)}.")
    if found is None:
        graph.nodes.update(aside)
        return 0
    folded = [
        name
        for name in graph.nodes
        if name in found and found[name].op == "Const" and name not in constants
    ]
    graph.nodes = {**found, **{name: node for name, node in aside.items() if name in found}}
    return len(folded)


def _out_of_sight(graph: Graph) -> list[str]:
    """Return the constants that TensorFlow's constant folding has no need to see."""
    consumers = graph.consumers()
    constant = _constant_nodes(graph, consumers)
    found = []
    for node in graph:
        if node.op != "Const":
            continue
        takers = [graph.nodes[name] for name in consumers[node.name]]
        if any(taker.name in constant for taker in takers):
            continue
        is_weights = any(
            taker.op in _WITH_WEIGHTS and graph.inputs(taker.name)[1].node == node.name
            for taker in takers
        )
        if is_weights or node.attr["value"].tensor.ByteSize() > _LARGE_BYTES:
            found.append(node.name)
    return found


def _constant_nodes(graph: Graph, consumers: dict[str, list[str]]) -> set[str]:
    """Return the nodes, not Const themselves, that depend on constants alone."""
    found: set[str] = set()
    waiting = [taker for node in graph if node.op == "Const" for taker in consumers[node.name]]
    while waiting:
        name = waiting.pop()
        if name not in found and all(
            end.node in found or graph.nodes[end.node].op == "Const" for end in graph.inputs(name)
        ):
            found.add(name)
            waiting.extend(consumers[name])
    return found
