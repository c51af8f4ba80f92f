"""A frozen graph made smaller and faster without changing what it answers.

What depends on constants alone is computed once, and batch normalisation goes into the layers.
Inputs, outputs, their shapes and what batch sizes the graph takes stay as they are; whether the
answers do is for verification to say.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from freezing.auditing.audit import audit
from freezing.graph.graph import Endpoint, Graph
from freezing.graph.grappler import ERRORS, rewrite
from freezing.graph.identities import bypass_identities
from freezing.graph.side_effects import drop_side_effects
from freezing.graph.stand_ins import is_large, with_stand_ins
from freezing.optimising.batch_norm import fold_batch_norms
from freezing.optimising.optimised import OptimiseCounts, OptimisedFile
from freezing.optimising.reshapes import fix_reshapes
from freezing.running.reasons import reason
from freezing.running.steps import Report

# Layers whose weights stay out of sight however small: TensorFlow would fold scalings into them by
# itself, and nobody could tell how many.
_WITH_WEIGHTS = frozenset(
    {"Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3D", "MatMul"}
)
# It spoils loops that take constants from outside: an Identity comes out with two inputs.
_INTO_LOOPS = frozenset({"Enter", "RefEnter"})


def optimise_file(report: Report, graph: Path, target: Path, tensors: list[str]) -> Any:
    """Write to `target` the graph file optimised, if there is anything to do.

    Returns an `OptimisedFile` as JSON.
    """
    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(graph.read_bytes())
    frozen = Graph(graph_def)
    del graph_def
    warnings: list[str] = []
    done = optimise(frozen, tensors, warnings)
    report.log(
        f"Folded {done.folded_constants} constants and {done.batch_norms} batch normalisations: "
        f"{done.nodes_before} nodes became {done.nodes_after}."
    )
    audited = audit(frozen)
    if not done.is_idle:
        frozen.write(target)
    return OptimisedFile(
        optimised=done, is_written=not done.is_idle, audit=audited, warnings=warnings
    ).model_dump(mode="json")


def optimise(graph: Graph, tensors: Sequence[str], warnings: list[str]) -> OptimiseCounts:
    """Optimise, in place, a graph that is frozen; `tensors` (`x:0`) are its input and outputs."""
    before = len(graph)
    ends = [Endpoint.parse(name) for name in tensors]
    _tidy(graph, ends)
    computed = {node.name for node in graph if node.op != "Const"}
    _fold_constants(graph, tensors, warnings)
    _tidy(graph, ends)
    computed -= {node.name for node in graph if node.op != "Const"}
    batch_norms = fold_batch_norms(graph, ends)
    _tidy(graph, ends)
    return OptimiseCounts(
        folded_constants=len(computed),
        batch_norms=batch_norms,
        nodes_before=before,
        nodes_after=len(graph),
    )


def _tidy(graph: Graph, ends: Sequence[Endpoint]) -> None:
    names = [end.node for end in ends]
    drop_side_effects(graph)
    bypass_identities(graph, names)
    graph.keep(graph.ancestors(names))


def _fold_constants(graph: Graph, tensors: Sequence[str], warnings: list[str]) -> None:
    """Let TensorFlow compute, in place, what depends on constants.

    It leaves alone what would make the graph larger (tensorflow/core/grappler/optimizers/
    constant_folding.cc, kMaxConstantSize).
    """
    aside = {name: graph.nodes[name] for name in _out_of_sight(graph)}
    seen = with_stand_ins(graph, aside)
    try:
        folded = Graph(rewrite(seen.to_graph_def(), ["constfold"], tensors))
        fix_reshapes(folded)
    except ERRORS as error:
        warnings.append(f"Constants could not be folded: {reason(error)}.")
        return
    graph.nodes = {node.name: aside.get(node.name, node) for node in folded}


def _out_of_sight(graph: Graph) -> list[str]:
    """Return the constants that TensorFlow's constant folding must not see.

    It copies a graph several times: large ones, unless something is computed from them alone.
    """
    consumers = graph.consumers()
    constant = _constant_nodes(graph, consumers)
    found = []
    for node in graph:
        if node.op != "Const":
            continue
        takers = [graph.nodes[name] for name in consumers[node.name]]
        if any(taker.name in constant for taker in takers):
            continue
        is_hidden = any(
            taker.op in _INTO_LOOPS
            or (taker.op in _WITH_WEIGHTS and graph.inputs(taker.name)[1].node == node.name)
            for taker in takers
        )
        if is_hidden or is_large(node):
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
