"""A SavedModel of TensorFlow 2: functions in a library, variables in a checkpoint of objects.

It is read and not loaded: `tf.saved_model.load` would make objects of what it finds, needs the
classes that the model was written with and runs its initializers. Its graph holds a call for each
signature, with the variables that the call needs, as TensorFlow Serving runs it; where it has no
signature, such a call is made for the root object's `__call__`.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from freezing.graph.graph import (
    PLACEHOLDER_OPS,
    Endpoint,
    Graph,
    called_functions,
    placeholder_node,
)
from freezing.sources.checkpoint_values import CheckpointValues
from freezing.sources.graph_files import from_meta_graph
from freezing.sources.graph_source import NoValues
from freezing.sources.lookup_tables import read_tables
from freezing.sources.losses import loss_of_saved_model
from freezing.sources.object_graph import Function, checkpoint_keys, functions
from freezing.sources.restore import CheckpointEntry
from freezing.sources.restore_functions import entries_by_function
from freezing.sources.saved_model import (
    UnknownSignatureError,
    assets_of,
    signatures,
)
from freezing.sources.source import Signature, Source, Value, Values
from freezing.sources.traced_functions import node_name
from worker.errors import SourceError
from worker.sources.checkpoint_files import locate_data
from worker.sources.choice import SourceChoice
from worker.sources.locate import variables_prefix

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the entry with the checkpoint's own object graph
_COMPILED = "XlaCallModule"  # an op that runs a program in StableHLO
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_MOST_NAMES = 8


def open_saved_model_v2(file: Path, message: Any, choice: SourceChoice) -> Source:
    """Open the SavedModel `message`, which was read from `file`.

    The chosen signature, else the usual one, comes first, with inputs and outputs under its own
    names. Raises `SourceError` where variables are missing or nothing in it can be called, and
    `UnknownSignatureError` where the chosen signature is not there.
    """
    meta = message.meta_graphs[0]
    stored = from_meta_graph(file, meta)
    graph_def = stored.graph_def
    data, files = _data(file)
    entries = entries_by_function(graph_def, meta.saver_def.restore_op_name)
    found = {one.name: one for one in signatures(meta)}
    calls = {one.name: one for one in functions(meta.object_graph_def)}
    chosen = _chosen(file, choice, found, calls)
    restored = all(node.name in entries for node in graph_def.node if node.op == "VarHandleOp")
    keys: dict[int, str] = {}
    if chosen not in found or not restored:
        keys = checkpoint_keys(meta.object_graph_def, _tracked(data))
    if chosen in found:
        entries = {**_captured_entries(graph_def, meta.object_graph_def, keys), **entries}
        first = found.pop(chosen)
        _name_ends(graph_def, first)
    else:
        first = _add_call(graph_def, meta, calls[chosen], keys, entries)
    _refuse_compiled(file, Graph(graph_def), first)
    known = {name: [CheckpointEntry(key, "")] for name, key in entries.items()}
    values: Values = NoValues(file.name)
    if data is not None:
        values = _ByName(CheckpointValues(data, known))
    return Source(
        kind="saved_model",
        name=file.parent.name,
        graph_def=graph_def,
        values=values,
        files=(file, *files),
        producer=stored.producer,
        op_list=stored.op_list,
        signatures=(first, *found.values()),
        tables=read_tables(Graph(graph_def), assets_of(file, meta), None),
        loss=loss_of_saved_model(file.parent),
    )


def _captured_entries(graph_def: Any, objects: Any, keys: dict[int, str]) -> dict[str, str]:
    """Return the checkpoint's entry for each variable node that a call of a function takes.

    Behind its own inputs a function takes what it captured, in the order of its `bound_inputs`.
    Variables of Keras 3 stand in the graph twice, and only the other one is restored.
    """
    variables = {node.name for node in graph_def.node if node.op == "VarHandleOp"}
    found: dict[str, str] = {}
    for node in graph_def.node:
        if node.op not in _CALLS:
            continue
        stored = objects.concrete_functions.get(node.attr["f"].func.name)
        bound = [] if stored is None else list(stored.bound_inputs)
        given = [Endpoint.parse(text).node for text in node.input if not text.startswith("^")]
        if bound and len(bound) <= len(given):
            pairs = zip(given[-len(bound) :], bound, strict=True)
            found |= {name: keys[number] for name, number in pairs if number in keys}
    return {name: key for name, key in found.items() if name in variables}


def _refuse_compiled(file: Path, graph: Graph, signature: Signature) -> None:
    """Raise `SourceError` where the signature calls a program that another library compiled."""
    ends = [Endpoint.parse(text).node for text in signature.outputs.values()]
    nodes = [graph.nodes[name] for name in graph.ancestors(ends) if name in graph]
    bodies = [graph.functions[name] for name in called_functions(nodes, graph.functions)]
    if all(node.op != _COMPILED for node in nodes) and not any(
        node.op == _COMPILED for body in bodies for node in body.node_def
    ):
        return
    raise SourceError(
        f"'{file.parent.name}' was exported from JAX, as Keras does with the JAX backend: its "
        f"layers are one compiled program ({_COMPILED}), which cannot be frozen. Freeze the "
        "model's .keras file, which model.save('model.keras') writes whatever the backend; or load "
        "that with KERAS_BACKEND=tensorflow, and export it with model.export(FOLDER)."
    )


class _ByName:
    """Calls variables as the model does: entries are called after the way to them."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def read(self, nodes: Iterable[Any]) -> dict[str, Value]:
        """Return the value of each variable NodeDef, by node name."""
        found = self._values.read(nodes)
        return {name: replace(value, key=name) for name, value in found.items()}


def _data(file: Path) -> tuple[Any, tuple[Path, ...]]:
    prefix = variables_prefix(file)
    if prefix is None:
        return None, ()  # a model without variables may come without the folder
    data = locate_data(prefix, [])
    return data, data.all


def _tracked(data: Any) -> bytes:
    if data is None:
        return b""
    stored = CheckpointValues(data, {}).tensor(_OBJECTS)
    return bytes(stored.item() if hasattr(stored, "item") else stored)


def _chosen(file: Path, choice: SourceChoice, found: Iterable[str], calls: Iterable[str]) -> str:
    """Return the name of the signature, or of the function, that is meant."""
    names, others = list(found), list(calls)
    if choice.signature is not None:
        if choice.signature in [*names, *others]:
            return choice.signature
        there = ", ".join((names or others)[:_MOST_NAMES])
        raise UnknownSignatureError(
            f"'{file.parent.name}' has no signature '{choice.signature[:200]}'."
            + (f" There are: {there}." if there else " It has none.")
        )
    if not names and not others:
        raise SourceError(
            f"'{file.parent.name}' has no signature and no traced __call__, so that nothing in it "
            "says what to compute: save it with tf.saved_model.save(model, folder, signatures=...) "
            "or model.export(folder)."
        )
    return (names or others)[0]


def _name_ends(graph_def: Any, signature: Signature) -> None:
    """Give the signature's tensors the names that it has for them, where these are free.

    The file's names, `serving_default_x` and `StatefulPartitionedCall`, stay good as well.
    """
    taken = {node.name: node for node in graph_def.node}
    for key, tensor in signature.inputs.items():
        end = Endpoint.parse(tensor)
        name, node = node_name(key), taken.get(end.node)
        if node is None or node.op not in PLACEHOLDER_OPS or name in taken:
            continue
        taken[name] = graph_def.node.add()
        taken[name].CopyFrom(node)
        taken[name].name = name
        _become_identity(node, Endpoint(name, 0), node.attr["dtype"].type)
        signature.inputs[key] = f"{name}:0"
    for key, tensor in signature.outputs.items():
        end = Endpoint.parse(tensor)
        name, node = node_name(key), taken.get(end.node)
        dtype = None if node is None else _output_dtype(node, end.output)
        if name in taken or dtype is None:
            continue
        taken[name] = graph_def.node.add(name=name)
        _become_identity(taken[name], end, dtype)
        signature.outputs[key] = f"{name}:0"


def _output_dtype(node: Any, index: int) -> int | None:
    types = node.attr["Tout"].list.type
    return int(types[index]) if index < len(types) else None


def _become_identity(node: Any, end: Endpoint, dtype: int) -> None:
    node.op = "Identity"
    del node.input[:]
    node.input.append(end.as_input())
    node.attr.clear()
    node.attr["T"].type = dtype


def _add_call(
    graph_def: Any, meta: Any, function: Function, keys: dict[int, str], entries: dict[str, str]
) -> Signature:
    """Add a call of the function to the graph, with what it needs; say in `entries` where it is."""
    taken = {node.name for node in graph_def.node}
    library = {one.signature.name: one.signature for one in graph_def.library.function}
    definition = library.get(function.concrete)
    if definition is None or len(definition.input_arg) != len(function.inputs) + len(
        function.bound
    ):
        raise SourceError(f"The function '{function.name}' of the SavedModel is not whole.")
    inputs = {}
    for argument in function.inputs:
        name = _free(node_name(argument.name), taken)
        spec = argument.spec
        graph_def.node.append(placeholder_node(name, spec.dtype, spec.shape))
        inputs[argument.name] = f"{name}:0"
    given = [end.removesuffix(":0") for end in inputs.values()]
    given += [_captured(graph_def, meta, number, keys, entries, taken) for number in function.bound]
    call = graph_def.node.add(name=_free("call", taken), op="StatefulPartitionedCall", input=given)
    call.attr["Tin"].list.type.extend(argument.type for argument in definition.input_arg)
    call.attr["Tout"].list.type.extend(argument.type for argument in definition.output_arg)
    call.attr["f"].func.name = function.concrete
    outputs = {}
    for number, (argument, kept) in enumerate(
        zip(function.outputs, definition.output_arg, strict=False)
    ):
        name = _free(node_name(argument.name), taken)
        _become_identity(graph_def.node.add(name=name), Endpoint(call.name, number), kept.type)
        outputs[argument.name] = f"{name}:0"
    return Signature(name=function.name, method="", inputs=inputs, outputs=outputs)


def _captured(
    graph_def: Any,
    meta: Any,
    number: int,
    keys: dict[int, str],
    entries: dict[str, str],
    taken: set[str],
) -> str:
    """Return the node that stands for an object that a function captured."""
    node = meta.object_graph_def.nodes[number]
    kind = node.WhichOneof("kind")
    if kind == "constant":
        return str(node.constant.operation)
    if kind == "asset":
        asset = meta.asset_file_def[node.asset.asset_file_def_index]
        return Endpoint.parse(asset.tensor_info.name).as_input()
    if kind != "variable" or number not in keys:
        raise SourceError(
            "The SavedModel has no signature, and its function needs an object that is neither "
            "variable nor constant, such as a table: save it with a signature, "
            "tf.saved_model.save(model, folder, signatures=...)."
        )
    name = _free(node_name(node.variable.name or "variable"), taken)
    handle = graph_def.node.add(name=name, op="VarHandleOp")
    handle.attr["dtype"].type = node.variable.dtype
    handle.attr["shape"].shape.CopyFrom(node.variable.shape)
    handle.attr["shared_name"].s = name.encode()
    entries[name] = keys[number]
    return name


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 0
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name
