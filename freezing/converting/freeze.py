"""From the part of a source that is needed to a graph that holds everything it needs."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from freezing.auditing.audit import refuse_leftovers
from freezing.auditing.state import changed_variables, changing_nodes, refuse_state
from freezing.choosing.plan import Plan
from freezing.converting.controlflow import fold_branches
from freezing.converting.parameters import LayerParameters, parameter_rows, parameters_of_constants
from freezing.converting.table_constants import convert_tables
from freezing.converting.variables import answer_initialised, convert_variables, variables_needed
from freezing.graph.attributes import strip_notes
from freezing.graph.dropout import remove_idle_dropout
from freezing.graph.functions import inline_functions
from freezing.graph.graph import (
    RANDOM_OPS,
    Endpoint,
    Graph,
    const_node,
    make_identity,
)
from freezing.graph.identities import bypass_identities
from freezing.graph.side_effects import drop_side_effects
from freezing.graph.suggestions import leaving_training
from freezing.sources.source import Indexed, Values
from worker.errors import FreezeError
from worker.formatting import binary_size

# Protocol buffers, and with them a .pb file, end at 2 GiB.
MOST_BYTES = 2**31 - 2**20


class TooLargeToFreezeError(FreezeError):
    """The frozen graph would not fit into a GraphDef file."""

    code = "too_large_to_freeze"


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A frozen graph, the parameters that went into it, and what to tell."""

    graph: Graph
    layers: list[LayerParameters]
    warnings: list[str]


def freeze(plan: Plan, values: Values) -> Frozen:
    """Return the frozen graph of a plan.

    Values that were set become constants, branches never taken go, variables become constants,
    and what only had to run, but gives nothing, goes too. Raises `SourceError` where a variable
    cannot be read, `TooLargeToFreezeError` before any is, `UnsupportedGraphError` naming state that
    would be left, and `StatefulGraphError` where the answers depend on what changes with every run.
    """
    warnings: list[str] = []
    names = [Endpoint.parse(tensor.name).node for tensor in (plan.input, *plan.outputs)]
    keep = [tensor.name for tensor in (plan.input, *plan.outputs)]
    graph = inline_functions(plan.graph.subgraph(plan.graph.nodes), keep)
    for name, value in plan.values.items():
        graph.nodes[name] = const_node(name, value)
    _bake_defaults(graph, warnings)
    # What a function changes runs with it, whether its results need that or not.
    graph.keep(graph.ancestors([*names, *changing_nodes(graph)]))
    answer_initialised(graph)
    fold_branches(graph, names[1:])
    changed = changed_variables(graph)
    drop_side_effects(graph)
    graph.keep(graph.ancestors(names))
    convert_tables(graph, plan.tables)
    variables = variables_needed(graph)
    _check_size(graph, variables, values)
    held = values.read(variables)
    # A graph that was frozen before has its weights in constants.
    layers = parameter_rows(held) if held else parameters_of_constants(graph)
    convert_variables(graph, held)
    drop_side_effects(graph)
    remove_idle_dropout(graph)
    bypass_identities(graph, names)
    if names[0] not in graph.ancestors(names[1:]):
        raise FreezeError(
            f"With the values that were set, no output depends on the input {plan.input.name}."
        )
    graph.keep(graph.ancestors(names[1:]))
    remedy = leaving_training(plan.graph, {names[0], *plan.values})
    refuse_leftovers(graph, remedy)
    refuse_state(changed, graph, remedy)
    strip_notes(graph)
    _warn(graph, warnings)
    return Frozen(graph=graph, layers=layers, warnings=warnings)


def _bake_defaults(graph: Graph, warnings: list[str]) -> None:
    for node in graph:
        if node.op == "PlaceholderWithDefault":
            source = graph.data_inputs(node.name)[0]
            make_identity(node, source, node.attr["dtype"].type)
            default = _scalar(graph.nodes[source.node])
            shown = "" if default is None else f", {str(default).lower()}"
            warnings.append(
                f"The placeholder '{node.name}' was left at its default{shown}. If another value "
                f"is meant, give it with `set` (--set {node.name}=VALUE)."
            )


def _scalar(node: Any) -> Any:
    """Return what a scalar Const holds, else None."""
    if node.op != "Const" or node.attr["value"].tensor.tensor_shape.dim:
        return None
    return tf.make_ndarray(node.attr["value"].tensor)[()]


def _check_size(graph: Graph, variables: list[Any], values: Values) -> None:
    """Raise `TooLargeToFreezeError` where variables and the rest are more than a file can hold.

    Nothing has been read then: the sizes are those that the graph and the source's index tell.
    """
    total = sum(node.ByteSize() for node in graph)
    for node in variables:
        shape = tf.TensorShape(node.attr["shape"].shape if "shape" in node.attr else None)
        if shape.is_fully_defined():
            total += shape.num_elements() * tf.as_dtype(node.attr["dtype"].type).size
        elif isinstance(values, Indexed):
            total += values.bytes_of(node)
    if total > MOST_BYTES:
        raise TooLargeToFreezeError(
            f"The frozen graph would have {binary_size(total)} in {len(variables)} variables; a "
            ".pb file can hold 2 GiB. Choose an output that needs less of the model, or save it "
            "with half precision."
        )


def _warn(graph: Graph, warnings: list[str]) -> None:
    random = [node.name for node in graph if node.op.startswith(RANDOM_OPS)]
    if random:
        warnings.append(f"The graph draws random numbers in '{random[0]}' for each image.")
