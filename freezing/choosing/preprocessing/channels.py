"""What a graph does to pixels before its first layer: per channel, one factor and one offset.

Followed forwards from the tensor that takes (or decodes) images, through everything that scales,
shifts, reorders, splits and joins channels by constants, composed exactly. What else takes such a
tensor is a layer, and sees what has become of the pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from freezing.choosing.preprocessing.constant_values import Array, Constants
from freezing.choosing.preprocessing.pixels import MOST_CHANNELS, Pixels
from freezing.choosing.preprocessing.rearranging import REARRANGING, PixelNode
from freezing.graph.graph import Endpoint, Graph

_MOST_STEPS = 400  # nodes that are looked at: what prepares pixels is short
# They tell of a tensor's shape, not of what is in it.
_SHAPE_OPS = frozenset({"Shape", "ShapeN", "Size", "Rank", "OnesLike", "ZerosLike"})
_SUMMARIES = frozenset({"ImageSummary", "HistogramSummary", "ScalarSummary", "TensorSummary"})
_PLUS = frozenset({"Add", "AddV2", "BiasAdd"})
_CALCULATING = _PLUS | {"Sub", "Mul", "RealDiv", "Div", "DivNoNan"}


@dataclass(frozen=True)
class FirstLayer:
    """A node that takes pixels and does more than scaling and reordering them."""

    name: str
    pixels: Pixels


def follow(
    graph: Graph, end: Endpoint, start: Pixels, until: Endpoint | None = None
) -> list[FirstLayer]:
    """Return the layers that take what becomes of the pixels in the tensor `end`.

    With `until`, what becomes of them up to that tensor, as a layer of its name; none where it
    cannot be told.
    """
    return list(_Follower(graph, until).layers(end, start))


class _Follower:
    def __init__(self, graph: Graph, until: Endpoint | None) -> None:
        self._graph = graph
        self._constants = Constants(graph)
        self._consumers = graph.consumers()
        self._until = until
        self._found: dict[Endpoint, Pixels] = {}

    def layers(self, end: Endpoint, start: Pixels) -> Iterator[FirstLayer]:
        self._found[end] = start
        waiting, seen = [end.node], set()
        for _ in range(_MOST_STEPS):
            if not waiting:
                return
            for taker in self._consumers[waiting.pop(0)]:
                node = self._graph.nodes[taker]
                if taker in seen or node.op in _SHAPE_OPS | _SUMMARIES:
                    continue
                inputs = self._graph.data_inputs(taker)
                taken = [one for one in inputs if one in self._found]
                if not taken or not self._is_complete(node.op, inputs):
                    continue  # it takes another output, or waits for the rest of what it joins
                seen.add(taker)
                try:
                    outputs = self._outputs(node, inputs)
                except (IndexError, ValueError, OverflowError, ZeroDivisionError):
                    outputs = None  # a stranger's graph may hold what does not go together
                if outputs is None:
                    if self._until is None:
                        yield from (FirstLayer(taker, self._found[one]) for one in taken)
                    continue
                for number, pixels in enumerate(outputs):
                    self._found[Endpoint(taker, number)] = pixels
                if self._until is not None and self._until in self._found:
                    yield FirstLayer(taker, self._found[self._until])
                    return
                waiting.append(taker)

    def _is_complete(self, op: str, inputs: list[Endpoint]) -> bool:
        """Whether all that the node joins is known already."""
        if op not in _JOINS:
            return True
        return all(one in self._found or self._constants.value(one) is not None for one in inputs)

    def _outputs(self, node: Any, inputs: list[Endpoint]) -> list[Pixels] | None:
        """Return what the node gives; None where it is a layer."""
        if node.op in _JOINS:
            return self._joined(node, inputs)
        place = next(number for number, one in enumerate(inputs) if one in self._found)
        pixels = self._found[inputs[place]]
        if node.op in _CALCULATING and len(inputs) == 2:
            return self._calculated(node, pixels, inputs[1 - place], pixels_first=place == 0)
        rearranging = REARRANGING.get(node.op)
        if rearranging is None or place != (node.op == "Split"):
            return None
        return rearranging(PixelNode(self._constants, node, inputs, pixels))

    def _calculated(
        self, node: Any, pixels: Pixels, other: Endpoint, *, pixels_first: bool
    ) -> list[Pixels] | None:
        value = self._constants.value(other)
        numbers = None if value is None else _per_channel(value, pixels, node.op == "BiasAdd")
        if numbers is None or not np.all(np.isfinite(numbers)):
            return None
        factor: Any = 1.0
        offset: Any = 0.0
        if node.op == "Mul":
            factor = numbers
        elif node.op in _PLUS:
            offset = numbers
        elif node.op == "Sub":
            factor, offset = (1.0, -numbers) if pixels_first else (-1.0, numbers)
        elif pixels_first and np.all(numbers):
            factor = 1.0 / numbers
        else:
            return None  # a constant divided by pixels, or pixels by nought
        return [pixels.scaled(node.name, factor, offset)]

    def _joined(self, node: Any, inputs: list[Endpoint]) -> list[Pixels] | None:
        """Return channels put together again, or one image as a batch."""
        parts, axis = _parts(self._constants, node, inputs)
        if axis is None or not 0 < len(parts) <= MOST_CHANNELS:
            return None
        if not all(one in self._found for one in parts):
            return None
        pixels = [self._found[one] for one in parts]
        first, rank = pixels[0], pixels[0].rank
        if rank is None:
            return None
        if node.op == "Pack" and len(pixels) == 1 and first.axis is not None:
            place = axis % (rank + 1)
            return [replace(first, rank=rank + 1, axis=first.axis + (place <= first.axis))]
        rank += node.op == "Pack"
        axis %= rank
        before = None if node.op == "Pack" else axis  # where each part has its channels
        sources = tuple(source for one in pixels for source in one.sources)
        if any(one.axis != before for one in pixels) or len(sources) > MOST_CHANNELS:
            return None
        return [
            Pixels(
                axis,
                rank,
                sources,
                np.concatenate([one.factor for one in pixels]),
                np.concatenate([one.offset for one in pixels]),
                tuple(dict.fromkeys(step for one in pixels for step in one.steps)),
                first.resizes,
                _shared(pixels),
            )
        ]


_JOINS = frozenset({"ConcatV2", "Concat", "Pack"})


def _shared(parts: list[Pixels]) -> tuple[tuple[float, float], ...]:
    """Return the stages that all parts went through, from the first on."""
    found = []
    for stages in zip(*(one.stages for one in parts), strict=False):
        if len(set(stages)) > 1:
            break
        found.append(stages[0])
    return tuple(found)


def _parts(
    constants: Constants, node: Any, inputs: list[Endpoint]
) -> tuple[list[Endpoint], int | None]:
    if node.op == "Pack":
        return inputs, int(node.attr["axis"].i)
    parts, axis = (inputs[:-1], inputs[-1]) if node.op == "ConcatV2" else (inputs[1:], inputs[0])
    found = constants.numbers(axis)
    return parts, found[0] if found else None


def _per_channel(value: Array, pixels: Pixels, is_bias: bool) -> Array | None:
    """Return a constant as one number, or as one per channel."""
    value = value.astype(np.float64)
    if value.size == 1:
        return value.reshape(1)
    count = len(pixels.sources)
    if value.size != count or pixels.axis is None or pixels.rank is None:
        return None
    if is_bias:
        return value.reshape(-1)
    # By the rules of broadcasting, where the constant has its channels.
    place = value.ndim - (pixels.rank - pixels.axis)
    return value.reshape(-1) if place >= 0 and value.shape[place] == count else None
