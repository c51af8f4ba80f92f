"""A GraphDef as named nodes: what feeds what, and which part of it a result needs."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

_NODE_TAG = b"\x0a"  # field 1 of GraphDef, `node`, of bytes with a length
CONTROL = -1  # the index of an endpoint that only says "after this node"

# Ops that execution enters or leaves a branch or a loop through. As long as one of them is in a
# graph, control dependencies decide what runs and must not be dropped.
CONTROL_FLOW_OPS = frozenset(
    prefix + name
    for prefix in ("", "Ref")
    for name in ("Switch", "Merge", "Enter", "Exit", "NextIteration")
) | {"LoopCond", "_SwitchN"}

VARIABLE_OPS = frozenset({"Variable", "VariableV2", "AutoReloadVariable", "VarHandleOp"})
PLACEHOLDER_OPS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})
RANDOM_OPS = ("Random", "TruncatedNormal", "Multinomial")  # how their names begin


class Endpoint(NamedTuple):
    """One output of a node, or (index `CONTROL`) the node having run."""

    node: str
    output: int

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Read a NodeDef's input: `x`, `x:1` or `^x`."""
        if text.startswith("^"):
            return cls(text[1:], CONTROL)
        node, _, index = text.rpartition(":")
        return cls(node, int(index)) if node and index.isdigit() else cls(text, 0)

    def as_input(self) -> str:
        """Return it as a NodeDef's input is written."""
        if self.output == CONTROL:
            return "^" + self.node
        return self.node if self.output == 0 else f"{self.node}:{self.output}"

    def __str__(self) -> str:
        return f"{self.node}:{self.output}"


class Graph:
    """The nodes of a GraphDef by name, in their order, with its functions and versions."""

    def __init__(self, graph_def: Any) -> None:
        """Take the nodes of `graph_def` as they are, without copying."""
        self.nodes: dict[str, Any] = {node.name: node for node in graph_def.node}
        self.functions: dict[str, Any] = {
            function.signature.name: function for function in graph_def.library.function
        }
        # Only for being looked at: nothing that is frozen needs the gradient of a function.
        self.gradients: dict[str, str] = {
            gradient.function_name: gradient.gradient_func
            for gradient in graph_def.library.gradient
        }
        self._versions = graph_def.versions

    def __contains__(self, name: object) -> bool:
        return name in self.nodes

    def __iter__(self) -> Iterator[Any]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def producer(self) -> int:
        """The GraphDef version of the TensorFlow that wrote it, which some ops depend on."""
        return int(self._versions.producer)

    @property
    def has_control_flow(self) -> bool:
        """Whether branches or loops of Switch and Merge are in it."""
        return any(node.op in CONTROL_FLOW_OPS for node in self)

    def inputs(self, name: str) -> list[Endpoint]:
        """Return what the node takes, control dependencies included."""
        return [Endpoint.parse(text) for text in self.nodes[name].input]

    def data_inputs(self, name: str) -> list[Endpoint]:
        """Return the tensors that the node takes."""
        return [end for end in self.inputs(name) if end.output != CONTROL]

    def consumers(self) -> dict[str, list[str]]:
        """Return for each node the names of the nodes that take something of it, in order."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for node in self:
            for source in dict.fromkeys(end.node for end in self.inputs(node.name)):
                if source in found:
                    found[source].append(node.name)
        return found

    def ancestors(
        self, names: Iterable[str], stop: Collection[str] = (), *, control: bool = True
    ) -> set[str]:
        """Return `names` and all nodes that they need; what the nodes in `stop` need is not.

        Without `control`, what they only wait for is left out.
        """
        found: set[str] = set()
        waiting = [name for name in names if name in self.nodes]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            if name not in stop:
                waiting.extend(
                    end.node
                    for end in (self.inputs(name) if control else self.data_inputs(name))
                    if end.node in self.nodes and end.node not in found
                )
        return found

    def descendants(self, names: Iterable[str]) -> set[str]:
        """Return `names` and all nodes that need something of them."""
        consumers = self.consumers()
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(consumers[name])
        return found

    def subgraph(self, names: Collection[str]) -> "Graph":
        """Return a copy that holds only `names`, and the functions that they call."""
        part = tf.compat.v1.GraphDef()
        part.versions.CopyFrom(self._versions)
        part.node.extend(node for node in self if node.name in names)
        wanted = called_functions(part.node, self.functions, self.gradients)
        part.library.function.extend(
            function for name, function in self.functions.items() if name in wanted
        )
        for name in sorted(wanted & self.gradients.keys()):
            part.library.gradient.add(function_name=name, gradient_func=self.gradients[name])
        return Graph(part)

    def keep(self, names: Collection[str]) -> None:
        """Remove, in place, all nodes but `names`, and the functions that only they called."""
        self.nodes = {name: node for name, node in self.nodes.items() if name in names}
        wanted = called_functions(self, self.functions)
        self.functions = {name: self.functions[name] for name in self.functions if name in wanted}
        self.gradients = {}

    def write(self, path: Path) -> None:
        """Write it as a GraphDef file.

        One node after the other, because a whole GraphDef of its own would double the memory: the
        fields of a protocol buffer message may follow each other in any order and number.
        """
        rest = tf.compat.v1.GraphDef()
        rest.versions.CopyFrom(self._versions)
        rest.library.function.extend(self.functions.values())
        with path.open("wb") as file:
            for node in self:
                content = node.SerializeToString(deterministic=True)
                file.write(_NODE_TAG + _varint(len(content)))
                file.write(content)
            file.write(rest.SerializeToString(deterministic=True))

    def to_graph_def(self, without: Collection[str] = ()) -> Any:
        """Return a GraphDef with copies of nodes and functions, and the original's versions.

        The nodes named `without` are left out.
        """
        result = tf.compat.v1.GraphDef()
        result.versions.CopyFrom(self._versions)
        result.node.extend(node for node in self if node.name not in without)
        result.library.function.extend(self.functions.values())
        return result

    def unused_name(self, wanted: str) -> str:
        """Return `wanted`, or it with the first number that makes it new."""
        name, number = wanted, 0
        while name in self.nodes:
            number += 1
            name = f"{wanted}_{number}"
        return name


def _varint(number: int) -> bytes:
    """Return the number as protocol buffers write lengths: 7 bits a byte, the lowest first."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def called_functions(
    nodes: Iterable[Any], functions: dict[str, Any], gradients: Mapping[str, str] | None = None
) -> set[str]:
    """Return the names in `functions` that the nodes call, directly or through functions.

    Any attribute can name a function: as such, in a list, within the attributes of another name,
    or as plain text. `gradients` are functions to add for functions that are called.
    """
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        names = [node.op, *_names_in(node.attr)]
        for name in names:
            if name in functions and name not in found:
                found.add(name)
                waiting.extend(functions[name].node_def)
                names.append((gradients or {}).get(name, ""))
    return found


def _names_in(attributes: Any) -> Iterator[str]:
    """Yield what the attributes of a node may mean as names of functions."""
    for value in attributes.values():
        kind = value.WhichOneof("value")
        called: Iterable[Any] = ()
        texts: Iterable[bytes] = ()
        if kind == "func":
            called = [value.func]
        elif kind == "s":
            texts = [value.s]
        elif kind == "list":
            called, texts = value.list.func, value.list.s
        for function in called:
            yield function.name
            yield from _names_in(function.attr)
        for text in texts:
            yield text.decode("utf-8", "replace")


def op_def(op: str) -> Any:
    """Return the OpDef that this TensorFlow has for `op`, or None where it knows none."""
    return op_def_registry.get(op)


def output_types(node: Any) -> list[int] | None:
    """Return the dtypes (as DataType numbers) of the node's outputs; None for an unknown op."""
    definition = op_def(node.op)
    if definition is None:
        return None
    types: list[int] = []
    for argument in definition.output_arg:
        if argument.type_list_attr:
            types.extend(node.attr[argument.type_list_attr].list.type)
            continue
        dtype = argument.type or _attr(definition, node, argument.type_attr).type
        count = _attr(definition, node, argument.number_attr).i if argument.number_attr else 1
        types.extend([dtype] * count)
    return types


def _attr(definition: Any, node: Any, name: str) -> Any:
    if name in node.attr:
        return node.attr[name]
    return next(attr.default_value for attr in definition.attr if attr.name == name)


def const_node(name: str, value: Any, dtype: int | None = None) -> Any:
    """Return a Const NodeDef that holds `value` (array, scalar or list)."""
    tensor = tf.make_tensor_proto(value, dtype=None if dtype is None else tf.as_dtype(dtype))
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = tensor.dtype
    node.attr["value"].tensor.CopyFrom(tensor)
    return node


def placeholder_node(name: str, dtype: int, shape: Any) -> Any:
    """Return a Placeholder NodeDef; `shape` is a TensorShapeProto or None for unknown."""
    node = tf.compat.v1.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = dtype
    if shape is None:
        node.attr["shape"].shape.unknown_rank = True
    else:
        node.attr["shape"].shape.CopyFrom(shape)
    return node


def make_identity(node: Any, source: Endpoint, dtype: int) -> None:
    """Turn `node`, in place, into an Identity of `source`; control dependencies stay."""
    after = [text for text in node.input if text.startswith("^")]
    node.op = "Identity"
    del node.input[:]
    node.input.extend([source.as_input(), *after])
    node.attr.clear()
    node.attr["T"].type = base_type(dtype)


def base_type(dtype: int) -> int:
    """Return the dtype without its reference mark (DT_FLOAT for DT_FLOAT_REF)."""
    return dtype - 100 if dtype > 100 else dtype
