"""The objects of a TensorFlow 2 SavedModel: their functions, and what these need.

Format: tensorflow/core/protobuf/saved_object_graph.proto, trackable_object_graph.proto and
struct.proto. Nothing is loaded or called; functions are found by name in the graph's library.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tensorflow.core.protobuf import trackable_object_graph_pb2

from worker.errors import SourceError

CALL = "__call__"
_TRAINING = ("training", "is_training", "train")
_NOT_FOR_INFERENCE = ("train", "loss", "gradient", "call_and_return", "signatures")


@dataclass(frozen=True, kw_only=True)
class Argument:
    """A tensor that a function takes or returns."""

    name: str
    spec: Any  # TensorSpecProto: name, shape, dtype


@dataclass(frozen=True, kw_only=True)
class Function:
    """One traced function of the root object."""

    name: str  # as the object calls it: `__call__`
    concrete: str  # as the graph's library calls it
    inputs: list[Argument]
    outputs: list[Argument]
    bound: list[int]  # the objects whose tensors it captured
    training: bool | None  # the value that it was traced with; None where it has no such argument


def functions(objects: Any) -> list[Function]:
    """Return one traced function for each callable of the root object, `__call__` first.

    Of several traces the one for inference is taken, of those the one with fewest inputs.
    """
    found = []
    for child in objects.nodes[0].children if objects.nodes else ():
        name = child.local_name
        if any(part in name.lower() for part in _NOT_FOR_INFERENCE):
            continue
        traces = [trace for trace in _traces(objects, name, child.node_id) if trace.inputs]
        if traces:
            found.append(min(traces, key=lambda one: (one.training is True, len(one.inputs))))
    return sorted(found, key=lambda one: (one.name != CALL, one.name.startswith("_"), one.name))


def checkpoint_keys(objects: Any, tracked: bytes) -> dict[int, str]:
    """Return the checkpoint's entry for each variable, by its number among the objects.

    `tracked` is the checkpoint's own object graph. Both are walked from the root by the names of
    children, because their numbers need not agree.
    """
    stored = trackable_object_graph_pb2.TrackableObjectGraph()
    stored.ParseFromString(tracked)
    keys: dict[int, str] = {}
    if not objects.nodes or not stored.nodes:
        return keys
    waiting = [(0, 0)]
    seen: set[int] = set()
    while waiting:
        here, there = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        for attribute in stored.nodes[there].attributes:
            if attribute.name == "VARIABLE_VALUE":
                keys[here] = attribute.checkpoint_key
        numbers = {child.local_name: child.node_id for child in stored.nodes[there].children}
        waiting.extend(
            (child.node_id, numbers[child.local_name])
            for child in objects.nodes[here].children
            if child.local_name in numbers
        )
    return keys


def _traces(objects: Any, name: str, number: int) -> Iterator[Function]:
    node = objects.nodes[number]
    kind = node.WhichOneof("kind")
    if kind == "function":
        names = list(node.function.concrete_functions)
        spec = node.function.function_spec
    elif kind == "bare_concrete_function":
        names = [node.bare_concrete_function.concrete_function_name]
        spec = node.bare_concrete_function.function_spec
    else:
        return
    arguments = _argument_names(spec)
    for concrete in names:
        stored = objects.concrete_functions.get(concrete)
        if stored is None:
            continue
        yield Function(
            name=name,
            concrete=concrete,
            inputs=_tensors(stored.canonicalized_input_signature, "input"),
            outputs=_tensors(stored.output_signature, "output"),
            bound=list(stored.bound_inputs),
            training=_training(stored.canonicalized_input_signature, arguments),
        )


def _argument_names(spec: Any) -> list[str]:
    for pair in spec.fullargspec.named_tuple_value.values:
        if pair.key == "args":
            names = [value.string_value for value in pair.value.list_value.values]
            return [name for name in names if name != "self"]
    return []


def _training(signature: Any, names: list[str]) -> bool | None:
    """Return the literal that `training` had in the trace."""
    parts = signature.tuple_value.values
    if len(parts) != 2:
        return None
    given = dict(zip(names, parts[0].tuple_value.values, strict=False))
    given |= parts[1].dict_value.fields
    for name in _TRAINING:
        if name in given and given[name].WhichOneof("kind") == "bool_value":
            return bool(given[name].bool_value)
    return None


def _tensors(structure: Any, role: str) -> list[Argument]:
    """Return the tensors of a structure in the order in which they are passed."""
    found: list[Argument] = []
    for key, spec in _flat(structure, ""):
        name = key or spec.name.partition(":")[0]
        found.append(Argument(name=name or f"{role}_{len(found)}", spec=spec))
    return found


def _flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    kind = value.WhichOneof("kind")
    if kind in ("tensor_spec_value", "bounded_tensor_spec_value"):
        yield key, getattr(value, kind)
    elif kind in ("list_value", "tuple_value"):
        for one in getattr(value, kind).values:
            yield from _flat(one, "")
    elif kind == "dict_value":
        for name in sorted(value.dict_value.fields):
            yield from _flat(value.dict_value.fields[name], name)
    elif kind == "named_tuple_value":
        for pair in value.named_tuple_value.values:
            yield from _flat(pair.value, pair.key)
    elif kind == "type_spec_value":
        raise SourceError("A function of the SavedModel takes or gives ragged or sparse tensors.")
