"""A traced `tf.function` as a graph: what it captured becomes variables and constants."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from freezing.graph.attributes import strip_places
from freezing.graph.graph import Endpoint, const_node
from freezing.sources.source import Signature, Value
from worker.errors import SourceError

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.\-/]")


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A graph with variables, what they hold, and which tensors its inputs and outputs are."""

    graph_def: Any
    values: "TracedValues"
    signature: Signature


class TracedValues:
    """Reads variables that live in this process."""

    def __init__(self, variables: dict[str, Any]) -> None:
        """Take the `tf.Variable`s by name of their nodes."""
        self._variables = variables

    def read(self, nodes: Iterable[Any]) -> dict[str, Value]:
        """Return the value of each variable NodeDef, by node name."""
        return {node.name: self._value(node.name) for node in nodes}

    def _value(self, name: str) -> Value:
        if name not in self._variables:
            raise SourceError(f"The graph needs the variable '{name}', which the source lacks.")
        array = self._variables[name].numpy()
        return Value(array=array, key=name, full_shape=tuple(array.shape))


def graph_of(
    function: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
    variables: Sequence[tuple[str, Any]],
) -> Traced:
    """Return the graph of a ConcreteFunction that takes and returns flat lists of tensors.

    `inputs` and `outputs` are the names that its arguments and results get, in order; `variables`
    holds the `tf.Variable`s that it may read with their names in the source. Each variable that it
    captured is a VarHandleOp, each other tensor a Const. A capture that is neither, such as the
    handle of a table, stays a Placeholder, which no image fits.
    """
    graph_def = function.graph.as_graph_def()
    strip_places(graph_def)
    nodes = {node.name: node for node in graph_def.node}
    known = [(one.name.removesuffix(":0"), one) for one in function.graph.variables]
    keys = {id(variable.handle): (key, variable) for key, variable in [*known, *variables]}
    renamed: dict[str, str] = {}
    taken = set(nodes)
    for wanted, tensor in zip(inputs, function.inputs, strict=False):  # captures come after
        renamed[tensor.op.name] = _new_name(wanted, taken)
    held: dict[str, Any] = {}
    for external, internal in function.graph.captures:
        node = nodes[internal.op.name]
        if id(external) in keys:
            key, variable = keys[id(external)]
            name = renamed[node.name] = _new_name(key, taken)
            _become_variable(node, variable, name)
            held[name] = variable
        elif tf.executing_eagerly() and external.dtype not in (tf.resource, tf.variant):
            node.CopyFrom(const_node(node.name, external.numpy(), external.dtype.as_datatype_enum))
    _rename(graph_def, renamed)
    ends = []
    for wanted, tensor in zip(outputs, function.outputs, strict=True):
        end = Endpoint(renamed.get(tensor.op.name, tensor.op.name), tensor.value_index)
        ends.append(_append_identity(graph_def, _new_name(wanted, taken), end, tensor.dtype))
    placeholders = [renamed[tensor.op.name] for tensor in function.inputs[: len(inputs)]]
    return Traced(
        graph_def=graph_def,
        values=TracedValues(held),
        signature=Signature(
            name="serving_default",
            method="",
            inputs={name: f"{node}:0" for name, node in zip(inputs, placeholders, strict=True)},
            outputs={name: f"{node}:0" for name, node in zip(outputs, ends, strict=True)},
        ),
    )


def node_name(text: str) -> str:
    """Return `text` as TensorFlow allows it for a node."""
    name = _NOT_IN_NAMES.sub("_", text.removesuffix(":0"))
    return name if re.match(r"[A-Za-z0-9.]", name) else f"n{name}"


def _new_name(text: str, taken: set[str]) -> str:
    """Return a name that no node has and that is now taken."""
    wanted = name = node_name(text)
    number = 0
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name


def _become_variable(node: Any, variable: Any, name: str) -> None:
    del node.input[:]
    node.attr.clear()
    node.op = "VarHandleOp"
    node.attr["dtype"].type = variable.dtype.base_dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(variable.shape.as_proto())
    node.attr["shared_name"].s = name.encode()


def _rename(graph_def: Any, renamed: dict[str, str]) -> None:
    """Give nodes their new names, also where they are taken as inputs."""
    for node in graph_def.node:
        node.name = renamed.get(node.name, node.name)
        for index, text in enumerate(node.input):
            end = Endpoint.parse(text)
            if end.node in renamed:
                node.input[index] = Endpoint(renamed[end.node], end.output).as_input()


def _append_identity(graph_def: Any, name: str, end: Endpoint, dtype: Any) -> str:
    node = graph_def.node.add(name=name, op="Identity", input=[end.as_input()])
    node.attr["T"].type = dtype.as_datatype_enum
    return name
