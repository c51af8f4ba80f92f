"""The value that a placeholder beside the image most likely has outside training."""

import re
import shlex
from collections.abc import Collection
from typing import Any

import tensorflow as tf

from freezing.graph.dropout import suggested_values
from freezing.graph.graph import PLACEHOLDER_OPS, Graph, base_type

_KEEP = re.compile(r"keep|dropout", re.IGNORECASE)
_ZERO = re.compile(r"rate|learning|momentum|decay|phase|step|drop|train", re.IGNORECASE)

Scalar = bool | int | float


def suggestions(graph: Graph, among: Collection[str] | None = None) -> dict[str, Scalar]:
    """Return values for the graph's placeholders, where one is likely: from names, or dropouts.

    `among` are the nodes that matter; None means all.
    """
    found: dict[str, Scalar] = {}
    nodes = [node for node in graph if among is None or node.name in among]
    for node in nodes:
        if node.op in PLACEHOLDER_OPS:
            value = suggested_value(node)
            if value is not None:
                found[node.name] = value
    random = [node for node in nodes if node.op == "RandomUniform"]
    consumers = graph.consumers() if random else {}
    for node in random:
        for name, value in suggested_values(graph, node.name, consumers).items():
            if graph.nodes[name].op in PLACEHOLDER_OPS and name not in found:
                found[name] = value
    return found


def suggested_value(node: Any) -> Scalar | None:
    """Return the value that a placeholder of this name, dtype and shape most likely needs."""
    dtype = tf.as_dtype(base_type(node.attr["dtype"].type))
    shape = tf.TensorShape(node.attr["shape"].shape if "shape" in node.attr else None)
    if shape.rank not in (None, 0):
        return None
    if dtype.is_bool:
        return False
    if dtype.is_floating and _KEEP.search(node.name) and "rate" not in node.name.lower():
        return 1.0
    if (dtype.is_floating or dtype.is_integer) and _ZERO.search(node.name.rpartition("/")[2]):
        return 0 if dtype.is_integer else 0.0
    return None


def leaving_training(graph: Graph, decided: Collection[str]) -> str:
    """Return what to do about a graph that is in training mode, as the end of a sentence.

    `decided` are the placeholders that are the input or were given a value.
    """
    open_ones = {node.name for node in graph if node.name not in decided}
    values = suggestions(graph, open_ones)
    if not values:
        return (
            "save the model again as it is for predictions (in Keras with training=False), for no "
            "placeholder of this graph switches training off"
        )
    options = (as_option(shlex.quote(name), value) for name, value in values.items())
    return f"switch training off with {' '.join(options)}"


def as_option(name: str, value: Scalar) -> str:
    """Return it as it is written for the command line: `--set keep_prob=1.0`."""
    return f"--set {name}={str(value).lower() if isinstance(value, bool) else value}"
