"""Nodes that reorder, pick or lay out the channels of pixels, and what they give."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from freezing.choosing.preprocessing.constant_values import Constants
from freezing.choosing.preprocessing.pixels import MOST_CHANNELS, Pixels
from freezing.graph.graph import Endpoint

PASSING = (
    *("Identity", "StopGradient", "Cast", "Snapshot", "CheckNumerics", "PlaceholderWithDefault"),
    *("PreventGradient", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs", "EnsureShape"),
    *("Pad", "PadV2", "MirrorPad"),
)
RESIZES = (
    *("ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea", "ResizeBicubic"),
    "CropAndResize",
)
_MASKS = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
Rearranged = list[Pixels] | None


class PixelNode(NamedTuple):
    """A node that takes pixels."""

    constants: Constants
    node: Any
    inputs: list[Endpoint]
    pixels: Pixels


def _transposed(step: PixelNode) -> Rearranged:
    pixels = step.pixels
    order = step.constants.numbers(step.inputs[1])
    if order is None or (pixels.axis is not None and len(order) != pixels.rank):
        return None
    axis = None if pixels.axis is None else order.index(pixels.axis)
    return [replace(pixels, axis=axis)]


def _reversed(step: PixelNode) -> Rearranged:
    pixels = step.pixels
    if pixels.axis is None or pixels.rank is None:
        return None
    if step.node.op == "Reverse":  # one bool per side
        return None
    axes = step.constants.numbers(step.inputs[1])
    if axes is None:
        return None
    if pixels.axis not in [axis % pixels.rank for axis in axes]:
        return [pixels]
    return [pixels.picked(step.node.name, list(range(len(pixels.sources)))[::-1])]


def _gathered(step: PixelNode) -> Rearranged:
    pixels = step.pixels
    order = step.constants.numbers(step.inputs[1])
    axis = step.constants.numbers(step.inputs[2]) if len(step.inputs) > 2 else [0]
    if order is None or not axis or pixels.axis is None or pixels.rank is None:
        return None
    if axis[0] % pixels.rank != pixels.axis or len(order) > MOST_CHANNELS:
        return None
    value = step.constants.value(step.inputs[1])
    picked = pixels.picked(step.node.name, order)
    if value is not None and value.ndim == 0:
        return [replace(picked, axis=None, rank=pixels.rank - 1)]
    return [picked]


def _split(step: PixelNode) -> Rearranged:
    pixels = step.pixels
    at = step.constants.numbers(step.inputs[0] if step.node.op == "Split" else step.inputs[2])
    if not at or pixels.axis is None or pixels.rank is None or at[0] % pixels.rank != pixels.axis:
        return None
    count = len(pixels.sources)
    if step.node.op == "Split":
        parts = int(step.node.attr["num_split"].i)
        sizes = [count // parts] * parts if 0 < parts <= count and count % parts == 0 else []
    else:
        sizes = step.constants.numbers(step.inputs[1]) or []
    if not sizes or sum(sizes) != count or min(sizes) < 1:
        return None
    ends = np.cumsum(sizes)
    return [
        replace(
            pixels,
            sources=pixels.sources[stop - size : stop],
            factor=pixels.factor[stop - size : stop],
            offset=pixels.offset[stop - size : stop],
        )
        for size, stop in zip(sizes, ends, strict=True)
    ]


def _unpacked(step: PixelNode) -> Rearranged:
    pixels = step.pixels
    if pixels.axis is None or pixels.rank is None:
        return None
    if int(step.node.attr["axis"].i) % pixels.rank != pixels.axis:
        return None
    return [
        replace(pixels, axis=None, rank=pixels.rank - 1, sources=(source,), factor=f, offset=o)
        for source, f, o in zip(
            pixels.sources,
            np.split(pixels.factor, len(pixels.sources)),
            np.split(pixels.offset, len(pixels.sources)),
            strict=True,
        )
    ]


def _sliced(step: PixelNode) -> Rearranged:
    """Return what a slice with constant bounds leaves of the channels."""
    pixels = step.pixels
    indices = None if pixels.rank is None else _indices(step, pixels.rank)
    if pixels.rank is None or indices is None:
        return None
    removed = [place for place, one in enumerate(indices) if isinstance(one, int)]
    left = replace(pixels, rank=pixels.rank - len(removed))
    if pixels.axis is None:
        return [left]
    chosen = indices[pixels.axis]
    order = [int(index) for index in np.atleast_1d(np.arange(len(pixels.sources))[chosen])]
    if not order:
        return None
    picked = left.picked(step.node.name, order)
    axis = pixels.axis - sum(place < pixels.axis for place in removed)
    return [replace(picked, axis=None if isinstance(chosen, int) else axis)]


def _indices(step: PixelNode, rank: int) -> list[Any] | None:
    """Return, for each side, the number or the slice that a StridedSlice takes of it."""
    begin, end, strides = (step.constants.numbers(one) for one in step.inputs[1:4])
    masks = {key: int(step.node.attr[f"{key}_mask"].i) for key in _MASKS}
    if begin is None or end is None or strides is None or masks["new_axis"]:
        return None
    indices: list[Any] = []
    for number, (first, last, stride) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << number
        if masks["ellipsis"] & bit:
            indices.append(Ellipsis)
        elif masks["shrink_axis"] & bit:
            indices.append(first)
        else:
            is_open = masks["begin"] & bit, masks["end"] & bit
            indices.append(
                slice(None if is_open[0] else first, None if is_open[1] else last, stride)
            )
    hole = indices.index(Ellipsis) if Ellipsis in indices else len(indices)
    missing = rank - len(indices) + (Ellipsis in indices)
    if missing < 0:
        return None
    return [*indices[:hole], *[slice(None)] * missing, *indices[hole + 1 :]]


def _expanded(step: PixelNode) -> Rearranged:
    pixels = step.pixels
    at = step.constants.numbers(step.inputs[1])
    if not at or pixels.rank is None:
        return None
    place = at[0] % (pixels.rank + 1)
    if pixels.axis is None:
        # A plane becomes an image of one channel where it is given its axis.
        axis = place if len(pixels.sources) == 1 and pixels.rank == 3 and place == 3 else None
        return [replace(pixels, rank=pixels.rank + 1, axis=axis)]
    return [replace(pixels, rank=pixels.rank + 1, axis=pixels.axis + (place <= pixels.axis))]


def _squeezed(step: PixelNode) -> Rearranged:
    pixels = step.pixels
    axes = [int(axis) for axis in step.node.attr["squeeze_dims"].list.i]
    if pixels.rank is None or not axes:
        return [replace(pixels, axis=None, rank=None)] if len(pixels.sources) == 1 else None
    places = [axis % pixels.rank for axis in axes]
    if pixels.axis is None or pixels.axis in places:
        return [replace(pixels, axis=None, rank=pixels.rank - len(places))]
    axis = pixels.axis - sum(place < pixels.axis for place in places)
    return [replace(pixels, axis=axis, rank=pixels.rank - len(places))]


def _reshaped(step: PixelNode) -> Rearranged:
    pixels = step.pixels
    sides = step.constants.numbers(step.inputs[1])
    if sides is None or not sides:
        # Where its sides are calculated, the order is not followed any further.
        return [_all_alike(pixels, None)] if _is_uniform(pixels) else None
    count = len(pixels.sources)
    last = sides[-1]
    if pixels.axis is not None and pixels.rank is not None:
        if pixels.axis == pixels.rank - 1 and last == count:
            return [replace(pixels, axis=len(sides) - 1, rank=len(sides))]
        return [_all_alike(pixels, len(sides))] if _is_uniform(pixels) else None
    if len(sides) == 4 and last in (1, 3) and count == 1:
        return [
            replace(
                pixels,
                axis=3,
                rank=4,
                sources=tuple(range(last)),
                factor=np.repeat(pixels.factor, last),
                offset=np.repeat(pixels.offset, last),
            )
        ]
    return [replace(pixels, axis=None, rank=len(sides))]


def _is_uniform(pixels: Pixels) -> bool:
    same = np.all(pixels.factor == pixels.factor[0]) and np.all(pixels.offset == pixels.offset[0])
    return bool(same) and list(pixels.sources) == sorted(set(pixels.sources))


def _all_alike(pixels: Pixels, rank: int | None) -> Pixels:
    return replace(
        pixels,
        axis=None,
        rank=rank,
        sources=(0,),
        factor=pixels.factor[:1],
        offset=pixels.offset[:1],
    )


def _cropped(step: PixelNode) -> Rearranged:
    """Return what a Slice leaves, unless it is known to take some of the channels only."""
    pixels = step.pixels
    begin, size = (step.constants.numbers(one) for one in step.inputs[1:3])
    if pixels.axis is None or begin is None or size is None:
        return [pixels]  # where it begins is calculated: it crops pictures
    is_whole = begin[pixels.axis] == 0 and size[pixels.axis] in (-1, len(pixels.sources))
    return [pixels] if is_whole else None


def _resized(step: PixelNode) -> Rearranged:
    return [replace(step.pixels, resizes=(*step.pixels.resizes, step.node.name))]


REARRANGING: dict[str, Callable[[PixelNode], Rearranged]] = {
    **dict.fromkeys(PASSING, lambda step: [step.pixels]),
    **dict.fromkeys(RESIZES, _resized),
    "Neg": lambda step: [step.pixels.scaled(step.node.name, -1.0, 0.0)],
    "Transpose": _transposed,
    "ReverseV2": _reversed,
    "Gather": _gathered,
    "GatherV2": _gathered,
    "Split": _split,
    "SplitV": _split,
    "Unpack": _unpacked,
    "Slice": _cropped,
    "StridedSlice": _sliced,
    "ExpandDims": _expanded,
    "Squeeze": _squeezed,
    "Reshape": _reshaped,
}
