"""Models that take text: serialised examples or encoded images, which the graph decodes itself.

Images are decoded by the worker, so the input must be a tensor behind the decoding. It is one that
everything passes on its way from the text to the outputs: a dominator of the flow between them.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from freezing.graph.cut import static_shape
from freezing.graph.graph import (
    CONTROL,
    PLACEHOLDER_OPS,
    Endpoint,
    Graph,
    base_type,
    called_functions,
    output_types,
)
from worker.errors import FreezeError

_PRIME = 2**61 - 1  # paths are counted modulo it: there are too many for a number
_CHANNELS = (1, 3)
_PASSING = frozenset({"Identity", "StopGradient"})
# Where a network begins: what comes after is no image any more.
_LAYERS = frozenset({"Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMul", "BatchMatMulV2"})


class TextInputError(FreezeError):
    """The input takes text, not pixels."""

    code = "not_an_image_input"


def refuse_text(graph: Graph, outputs: Sequence[Endpoint], end: Endpoint) -> None:
    """Raise `TextInputError` naming the tensor to take instead, where the input takes text."""
    types = output_types(graph.nodes[end.node])
    if not types or base_type(types[end.output]) != tf.string.as_datatype_enum:
        return
    decoded = decoded_tensor(graph, outputs, end.node)
    raise TextInputError(
        f"The input {end} takes text, such as encoded images, and not pixels. Images are decoded "
        "before the graph: name the tensor behind the decoding with `inputs` (--input)"
        + (f", most likely {decoded}." if decoded else ".")
    )


def input_behind_text(
    graph: Graph, outputs: Sequence[Endpoint], warnings: list[str]
) -> Endpoint | None:
    """Return the input to take where the outputs depend on text and on no images.

    Raises `TextInputError` where the text is not decoded into something that can be an input.
    """
    needed = graph.ancestors([end.node for end in outputs])
    placeholders = [node for node in graph if node.name in needed and node.op in PLACEHOLDER_OPS]
    texts = [node.name for node in placeholders if _dtype_of(node) == tf.string]
    if not texts or any(_takes_images(node) for node in placeholders):
        return None
    if len(texts) > 1:
        raise TextInputError(
            f"The outputs depend on text in several placeholders: {', '.join(texts)}. Name the "
            "tensor that takes images with `inputs` (--input)."
        )
    decoded = decoded_tensor(graph, outputs, texts[0])
    if decoded is None:
        refuse_text(graph, outputs, Endpoint(texts[0], 0))
        return None
    warnings.append(
        f"The placeholder '{texts[0]}' takes text; {decoded}, behind its decoding, was taken as "
        "the input. If another is meant, name it with `inputs` (--input)."
    )
    return decoded


def gives_bytes(graph: Graph, end: Endpoint) -> bool | None:
    """Whether the tensor is an image as it was decoded: numbers from 0 to 255.

    False where what was decoded is scaled on its way there, None where nothing is decoded.
    """
    before = [graph.nodes[name] for name in graph.ancestors([end.node])]
    called = called_functions(before, graph.functions)
    scopes = [before, *(graph.functions[name].node_def for name in called)]
    if not any(node.op.startswith("Decode") for nodes in scopes for node in nodes):
        return None
    return not any(_scales(nodes) for nodes in scopes)


def _scales(nodes: Iterable[Any]) -> bool:
    """Whether one of the nodes changes the range of numbers, as `convert_image_dtype` does."""
    by_name = {node.name: node for node in nodes}
    for node in by_name.values():
        if node.op not in ("Mul", "RealDiv", "Div", "Sub"):
            continue
        for text in node.input:
            source = by_name.get(text.split(":")[0])
            if source is not None and source.op == "Const" and _dtype_of(source).is_floating:
                return bool(np.any(tf.make_ndarray(source.attr["value"].tensor) != 1))
    return False


def _dtype_of(node: Any) -> Any:
    return tf.as_dtype(node.attr["dtype"].type)


def _takes_images(node: Any) -> bool:
    numbers = _dtype_of(node).is_floating or _dtype_of(node).is_integer
    return numbers and "shape" in node.attr and _likeness(_shape_of(node)) > 1


def _shape_of(node: Any) -> Any:
    return tf.TensorShape(node.attr["shape"].shape)


def decoded_tensor(graph: Graph, outputs: Sequence[Endpoint], text_input: str) -> Endpoint | None:
    """Return the tensor behind the decoding of `text_input` that most likely takes images.

    The first one with the shape of images, else the first one that holds numbers; None where the
    text reaches the outputs by several ways.
    """
    best: tuple[int, Endpoint] | None = None
    for end in _dominators(graph, outputs, text_input):
        if graph.nodes[end.node].op in _LAYERS or end in outputs:
            break
        types = output_types(graph.nodes[end.node])
        dtype = tf.as_dtype(base_type(types[end.output])) if types else tf.string
        rank = _likeness(static_shape(graph, end))
        if rank == 0 or not (dtype.is_floating or dtype.is_integer):
            continue
        follows = best is not None and graph.nodes[end.node].op in _PASSING
        if best is None or rank > best[0] or (rank == best[0] and follows):
            best = rank, end
        elif rank < best[0] and best[0] == _CLEAR:
            break
    return best[1] if best else None


_CLEAR = 3  # the likeness of a tensor whose height, width and channels are all known


def _likeness(shape: Any) -> int:
    """Return how much a tensor looks like a batch of images."""
    if shape.rank is None:
        return 1
    sides = shape.as_list()
    if shape.rank == 4:
        known = None not in sides[1:3] and sides[3] in _CHANNELS
        return _CLEAR if known else 2 if sides[3] in (*_CHANNELS, None) else 0
    if shape.rank == 2 and sides[1]:
        squares = (math.isqrt(sides[1] // channels) for channels in _CHANNELS)
        exact = any(
            side >= 4 and side * side * channels == sides[1]
            for side, channels in zip(squares, _CHANNELS, strict=True)
        )
        return _CLEAR if exact else 0
    return 1 if shape.rank == 3 else 0


def _dominators(graph: Graph, outputs: Sequence[Endpoint], start: str) -> list[Endpoint]:
    """Return, in order, the tensors that all ways from `start` to the outputs pass."""
    order = _between(graph, outputs, start)
    takers: dict[str, list[Endpoint]] = {name: [] for name in order}  # who takes which output
    into: dict[str, int] = dict.fromkeys(order, 0)
    out_of: dict[str, int] = dict.fromkeys(order, 0)
    used: dict[str, set[int]] = {name: set() for name in order}
    into[start] = 1
    for name in order:
        for end in graph.data_inputs(name):
            if end.node in takers and not _goes_back(graph, end.node):
                into[name] = (into[name] + into[end.node]) % _PRIME
                takers[end.node].append(Endpoint(name, end.output))
                used[end.node].add(end.output)
    for end in outputs:
        if end.node in used:
            out_of[end.node] += 1
            used[end.node].add(end.output)
    for name in reversed(order):
        for taker in takers[name]:
            out_of[name] = (out_of[name] + out_of[taker.node]) % _PRIME
    total = out_of.get(start, 0)
    return [
        Endpoint(name, min(used[name]))
        for name in order
        if name != start
        and len(used[name]) == 1
        and min(used[name]) != CONTROL
        and into[name] * out_of[name] % _PRIME == total
    ]


def _between(graph: Graph, outputs: Sequence[Endpoint], start: str) -> list[str]:
    """Return the nodes on ways from `start` to the outputs, each behind what it takes."""
    needed = graph.ancestors([end.node for end in outputs])
    consumers = graph.consumers()
    reached = graph.descendants([start]) & needed
    counts = {
        name: len(
            {
                end.node
                for end in graph.data_inputs(name)
                if end.node in reached and not _goes_back(graph, end.node)
            }
        )
        for name in reached
    }
    order = [name for name in reached if counts[name] == 0]
    for name in order:  # grows while it is gone through
        if _goes_back(graph, name):
            continue
        for taker in consumers[name]:
            if taker in counts and name in {end.node for end in graph.data_inputs(taker)}:
                counts[taker] -= 1
                if counts[taker] == 0:
                    order.append(taker)
    return order


def _goes_back(graph: Graph, name: str) -> bool:
    """Whether the node sends what it takes to the next round of a loop."""
    return bool(graph.nodes[name].op in ("NextIteration", "RefNextIteration"))
