"""Which entry of a checkpoint belongs into which variable, read from a graph's own savers.

A Saver may store a variable under another name (moving averages) or a slice of one entry in each
of several variables (partitioned variables). Its restore ops say so: they are read, never run.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from freezing.graph.graph import VARIABLE_OPS, Endpoint, Graph

_PASSING = frozenset({"Identity", "Reshape", "Cast"})


class CheckpointEntry(NamedTuple):
    """An entry of a checkpoint: its name, and the slice of it as savers write it, or ''."""

    key: str
    slice: str


def restored_entries(graph: Graph, preferred_scope: str) -> dict[str, list[CheckpointEntry]]:
    """Return for each variable node what the graph's savers put into it, the preferred one first.

    `preferred_scope` is the scope of the saver that wrote the checkpoint ("save"), or "".
    """
    found: dict[str, list[CheckpointEntry]] = {}
    for node in graph:
        if node.op not in ("Assign", "AssignVariableOp"):
            continue
        ends = graph.data_inputs(node.name)
        if len(ends) < 2 or not all(end.node in graph for end in ends):
            continue
        variable = graph.nodes[ends[0].node]
        entry = restored_entry(graph, ends[1])
        if variable.op not in VARIABLE_OPS or entry is None:
            continue
        entries = found.setdefault(variable.name, [])
        if node.name.startswith(preferred_scope + "/"):
            entries.insert(0, entry)
        else:
            entries.append(entry)
    return found


def parse_slice(text: str) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """Return the full shape and the slices of `10 4 0,5:-`: rows 0 to 4 of ten, all columns.

    The format is TensorFlow's TensorSlice: `start,length` per dimension, `-` for all of it.
    Raises ValueError where `text` is none.
    """
    *shape, spec = text.split(" ")
    slices = []
    for part in spec.split(":"):
        if part == "-":
            slices.append(slice(None))
            continue
        match = re.fullmatch(r"(\d+),(\d+)", part)
        if match is None:
            raise ValueError(f"'{text}' is no slice")
        slices.append(slice(int(match[1]), int(match[1]) + int(match[2])))
    if len(slices) != len(shape):
        raise ValueError(f"'{text}' has {len(shape)} dimensions and {len(slices)} slices")
    return tuple(int(side) for side in shape), tuple(slices)


def restored_entry(graph: Graph, end: Endpoint) -> CheckpointEntry | None:
    """Return the entry that the tensor is read from, if a restore op gives it."""
    while end.node in graph and graph.nodes[end.node].op in _PASSING:
        inputs = graph.data_inputs(end.node)
        if not inputs or inputs[0].node not in graph:
            return None
        end = inputs[0]
    node = graph.nodes.get(end.node)
    if node is None or node.op not in ("RestoreV2", "Restore", "RestoreSlice"):
        return None
    inputs = graph.data_inputs(end.node)
    names = list(_strings(graph, inputs[1]))
    specs = list(_strings(graph, inputs[2])) if len(inputs) > 2 else []
    index = end.output if node.op == "RestoreV2" else 0
    if index >= len(names):
        return None
    return CheckpointEntry(names[index], specs[index] if index < len(specs) else "")


def _strings(graph: Graph, end: Endpoint) -> Iterator[str]:
    node: Any = graph.nodes.get(end.node)
    if node is None or node.op != "Const":
        return
    for value in tf.make_ndarray(node.attr["value"].tensor).ravel():
        yield value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
