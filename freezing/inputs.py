"""Which placeholder takes the images, and which still need a value."""

import math
import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from freezing.graphs import Graph
from worker.errors import FreezeError

_CHANNELS = (1, 3, None)
_BOOL_SUGGESTION = "false"
_KEEP = re.compile(r"keep|dropout", re.IGNORECASE)
_RATE = re.compile(r"rate|learning|momentum|decay|phase|step", re.IGNORECASE)


class UnsetPlaceholdersError(FreezeError):
    """Placeholders that the outputs need have no value."""

    code = "unset_placeholders"


def open_placeholders(graph: Graph, set_names: Sequence[str]) -> dict[str, Any]:
    """Return name and shape (`tf.TensorShape`) of the placeholders that have no value."""
    return {
        node.name: tf.TensorShape(node.attr["shape"].shape)
        if "shape" in node.attr
        else tf.TensorShape(None)
        for node in graph
        if node.op in ("Placeholder", "PlaceholderV2") and node.name not in set_names
    }


def choose_input(graph: Graph, candidates: dict[str, Any]) -> str:
    """Return the placeholder that takes the images, or the PlaceholderWithDefault that does.

    Raises `UnsetPlaceholdersError` where it is not clear which.
    """
    ranks = {name: _likeness(graph.nodes[name], shape) for name, shape in candidates.items()}
    if not ranks:
        return _with_default(graph)
    best = max(ranks.values())
    found = [name for name, rank in ranks.items() if rank == best]
    if best == 0:
        raise FreezeError(
            f"None of the placeholders that the outputs need takes images: "
            f"{_list(graph, candidates)}. Name the tensor that does with `inputs` (--input)."
        )
    if len(found) > 1:
        raise UnsetPlaceholdersError(
            f"Several placeholders may take the images: {_list(graph, candidates)}. Name one with "
            "`inputs` (--input) and give the others a value with `set` (--set)."
        )
    return found[0]


def refuse_unset(graph: Graph, names: Sequence[str]) -> None:
    """Raise `UnsetPlaceholdersError` where there are `names`, with a value for each to try."""
    if not names:
        return
    verb = "the placeholder" if len(names) == 1 else "the placeholders"
    shown = ", ".join(_show(graph.nodes[name]) for name in names)
    known = [name for name in names if suggestion(graph.nodes[name]) is not None]
    hints = " ".join(f"--set {name}={suggestion(graph.nodes[name])}" for name in known)
    advice = f"Set {'it' if len(names) == 1 else 'them'}, for instance {hints}." if known else ""
    if len(known) < len(names):
        advice += (
            f"{' ' if advice else ''}An output that does not need labels or losses may be meant."
        )
    raise UnsetPlaceholdersError(f"The outputs also need {verb} {shown}. {advice}")


def suggestion(node: Any) -> str | None:
    """Return the value that the placeholder most likely has outside training, if one is likely."""
    dtype = tf.as_dtype(node.attr["dtype"].type)
    shape = tf.TensorShape(node.attr["shape"].shape if "shape" in node.attr else None)
    if shape.rank not in (None, 0):
        return None
    if dtype.is_bool:
        return _BOOL_SUGGESTION
    if dtype.is_floating and _KEEP.search(node.name) and "rate" not in node.name.lower():
        return "1.0"
    if _RATE.search(node.name) or "drop" in node.name.lower():
        return "0" if dtype.is_integer else "0.0"
    return None


def _with_default(graph: Graph) -> str:
    names = {
        node.name: tf.TensorShape(node.attr["shape"].shape)
        for node in graph
        if node.op == "PlaceholderWithDefault"
    }
    found = [name for name, shape in names.items() if _likeness(graph.nodes[name], shape) > 1]
    if len(found) != 1:
        raise FreezeError(
            "The outputs need no placeholder that could take images: name the tensor that does "
            "with `inputs` (--input)."
        )
    return str(found[0])


def _likeness(node: Any, shape: Any) -> int:
    """Return how much a tensor looks like images: 0 not at all, 4 height, width and channels."""
    dtype = tf.as_dtype(node.attr["dtype"].type)
    if not (dtype.is_floating or dtype.is_integer):
        return 0
    if shape.rank is None:
        return 1
    sides = shape.as_list()
    if shape.rank == 4:
        return 4 if sides[3] in _CHANNELS or sides[1] in _CHANNELS else 0
    if shape.rank == 3:
        return 2
    if shape.rank == 2 and sides[1] is not None:
        return 2 if any(_is_square(sides[1], channels) for channels in (1, 3)) else 0
    return 0


def _is_square(length: int, channels: int) -> bool:
    pixels, rest = divmod(length, channels)
    return rest == 0 and pixels >= 16 and math.isqrt(pixels) ** 2 == pixels


def _list(graph: Graph, names: dict[str, Any]) -> str:
    return ", ".join(_show(graph.nodes[name]) for name in names)


def _show(node: Any) -> str:
    shape = tf.TensorShape(node.attr["shape"].shape if "shape" in node.attr else None)
    dtype: str = tf.as_dtype(node.attr["dtype"].type).name
    return f"{node.name} ({dtype} {shape})"
