"""Models are programs: which ops may run while freezing, and which may be served.

The ops of `allowed_ops` may, over the graph and every function that it can reach; all others are
refused by name. `refuse_unsafe` looks, before anything runs, at the part of the source that the
outputs need. `refuse_leftovers` looks at the finished graph and refuses what would fail at serving
time because its state is gone, and `audit` does so for the graph as it is written, with the result
that stands in the manifest.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from freezing.auditing.tables import why_not_kept
from freezing.graph.graph import Graph, called_functions, op_def
from freezing.graph.permitted import PIPELINE, Place, is_allowed, places
from freezing.sources.lookup_tables import Table
from worker.auditing import allowed_ops
from worker.auditing.attributes import fault
from worker.auditing.refused_ops import why_unsafe
from worker.errors import FreezeError


class UnsafeGraphError(FreezeError):
    """The graph holds an op that a served model must not run."""

    code = "unsafe_graph"


class UnsupportedGraphError(FreezeError):
    """The graph holds an op that this system cannot freeze or serve."""

    code = "unsupported_graph"


_TABLE = re.compile(r"HashTable|LookupTable|InitializeTable")


def refuse_unknown(graph: Graph) -> None:
    """Raise `UnsupportedGraphError` naming the ops that this TensorFlow does not have."""
    unknown = sorted(
        {
            node.op
            for node, _ in places(graph)
            if op_def(node.op) is None and node.op not in graph.functions
        }
    )
    if unknown:
        raise UnsupportedGraphError(
            f"TensorFlow {tf.__version__} does not know the op(s) {', '.join(unknown)}, which the "
            "outputs need: they come from another package or were removed."
        )


def refuse_unsafe(graph: Graph, tables: Mapping[str, Table] | None = None) -> None:
    """Raise `UnsafeGraphError` or `UnsupportedGraphError` naming an op that may not run.

    `tables` are the lookup tables whose content is known, by their nodes.
    """
    for place in places(graph):
        op = place.node.op
        if PIPELINE.search(op):
            raise UnsupportedGraphError(
                f"The outputs read their data from {place} ({op}), which only training "
                "has: name the tensor that takes images with `inputs` (--input)."
            )
        if _TABLE.search(op):
            why = why_not_kept(place.node, tables or {})
            if why is None:
                continue
            raise UnsupportedGraphError(
                f"The outputs use the lookup table {place} ({op}), which cannot be frozen: {why} "
                "Choose an output before it (--output)."
            )
        if not is_allowed(graph, place.node):
            raise _refusal(graph, place)


def refuse_leftovers(graph: Graph, remedy: str | None = None) -> None:
    """Raise `UnsupportedGraphError` where a frozen graph still holds state of the source.

    `remedy` is what to do where only training needs it.
    """
    for place in places(graph):
        node = place.node
        if node.op in allowed_ops.VARIABLES:
            raise UnsupportedGraphError(
                f"The outputs need {place} ({node.op}), which reads or changes a variable "
                "while the graph runs: such a state cannot be frozen."
                + (f" If only training needs it, {remedy}." if remedy else "")
            )
        if not is_allowed(graph, node):
            raise UnsupportedGraphError(
                f"The frozen graph would still hold {place} ({node.op}), which cannot be served."
            )


def audit(graph: Graph) -> dict[str, Any]:
    """Audit a graph as it is to be written and return the result for its manifest.

    Raises `UnsupportedGraphError` as `refuse_leftovers` does, also for functions that nothing in
    the graph calls.
    """
    refuse_leftovers(graph)
    counts = Counter(node.op for node, _ in places(graph))
    idle = graph.functions.keys() - called_functions(graph, graph.functions)
    if idle:
        raise UnsupportedGraphError(
            f"The frozen graph would still hold the function '{min(idle)}', which nothing calls."
        )
    return {
        "verdict": "allowed",
        "allow_list": allowed_ops.VERSION,
        "ops": dict(sorted(counts.items())),
        "functions": len(graph.functions),
    }


def _refusal(graph: Graph, place: Place) -> FreezeError:
    op = place.node.op
    if op in graph.functions:
        return UnsafeGraphError(
            f"The outputs need {place}, which calls a function with the name of TensorFlow's own "
            f"op {op}."
        )
    why = fault(place.node) or why_unsafe(op)
    if why is not None:
        return UnsafeGraphError(
            f"The outputs need {place}, an op of kind {op}, which {why}: such a model is not "
            "frozen. Choose outputs or an input (--output, --input) that do without it."
        )
    return UnsupportedGraphError(
        f"The outputs need {place}, an op of kind {op}, which is not among the ops that image "
        f"classifiers are made of (allow-list {allowed_ops.VERSION})."
    )
