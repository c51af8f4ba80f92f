"""What a graph itself shows of how its images are prepared.

Behind the input: what it does to pixels before its first layer tells which range it takes, because
the networks of this field begin with few ranges, and which order of colours where it takes off the
means of ImageNet. In front of it: what lies between a decoder and the input is what a worker does.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from freezing.choosing.preprocessing.channels import FirstLayer, follow
from freezing.choosing.preprocessing.constant_values import Array
from freezing.choosing.preprocessing.pixel_ranges import (
    BY_NAME,
    DECISIVE,
    FITTING,
    IMAGENET_STDS,
    Color,
    Name,
    Range,
    color_of_means,
    misfit,
)
from freezing.choosing.preprocessing.pixels import Pixels
from freezing.graph.graph import Endpoint, Graph
from worker.models.preprocessing import PreprocessingSpec

# Ranges of pixels at the first layer that networks are made for, in those of the input.
_CANONICAL = ((0, 1), (-1, 1), (-0.5, 0.5), (0, 255), (-127.5, 127.5), (-128, 127))
_MOST_SHOWN = 3  # names in a sentence
_CHANGED = 0.1  # of a range's width, by which its ends must move
_NEAR = 0.02  # of a range's width, within which it is that range
# How far means that people write for ImageNet's lie from each other (104, 117, 123; 103.939 ...),
# in 0..1. Those of another data set hardly ever come so near.
_TYPED = 0.004
_FED: tuple[Name, ...] = ("raw", "zero_one", "minus_one_one")


@dataclass(frozen=True, kw_only=True)
class GraphReading:
    """What the graph shows, as far as it does."""

    scaling: PreprocessingSpec | None = None
    color: Color | None = None
    reasons: list[str] = field(default_factory=list)
    is_sure: bool = True  # False: it is only the likeliest


def of_layers(layers: list[FirstLayer]) -> GraphReading:
    """Return what is shown by what has become of the pixels that the first layers take."""
    if not layers or not agree(layers):
        return GraphReading()
    pixels = layers[0].pixels
    is_untouched = np.all(pixels.factor == 1) and np.all(pixels.offset == 0)
    if is_untouched or not np.all(pixels.factor):
        return GraphReading()
    color, means = _color(pixels)
    fitting = [name for name in _FED if _is_canonical(pixels, BY_NAME[name])]
    fitting = fitting or [name for name in _FED if _is_normalised(pixels, BY_NAME[name])]
    fitting = fitting or _on_the_way(pixels) or _adapted(pixels)
    if len(fitting) != 1:
        return GraphReading()
    fed = BY_NAME[fitting[0]]
    how = _names(pixels.steps)
    reasons = [f"the graph scales pixels itself ({how}): it takes values from {fed.words}"]
    if color is not None:
        shown = ", ".join(f"{value:g}" for value in means)
        reasons.append(
            f"it takes the means {shown} off its channels, which are those of ImageNet in the "
            f"order {'red, green, blue' if color == 'rgb' else 'blue, green, red'}"
        )
    return GraphReading(scaling=fed.spec, color=color, reasons=reasons)


def in_front(graph: Graph, decoder: Endpoint, end: Endpoint) -> Pixels | None:
    """Return what becomes of a decoded image (height, width, channels) on its way to `end`."""
    count = 1 if graph.nodes[decoder.node].attr["channels"].i == 1 else 3
    start = Pixels(2, 3, tuple(range(count)), np.ones(count), np.zeros(count))
    if decoder == end:
        return start
    layers = follow(graph, decoder, start, until=end)
    return layers[0].pixels if layers else None


def as_spec(factor: Array, offset: Array) -> PreprocessingSpec:
    """Return `value * factor + offset` of 0..255 as (value * scale - mean) / std."""
    factors, offsets = np.atleast_1d(factor), np.atleast_1d(offset)
    if np.all(factors == factors[0]):
        offsets = offsets[:1] if np.all(offsets == offsets[0]) else offsets
        mean = [float(-offset) for offset in offsets]
        return PreprocessingSpec(scale=float(factors[0]), mean=mean, std=[1.0])
    std = [float(1 / one) for one in factors]
    mean = [float(-shift / one) for shift, one in zip(offsets, factors, strict=True)]
    return PreprocessingSpec(scale=1.0, mean=mean, std=std)


def agree(layers: list[FirstLayer]) -> bool:
    """Whether all layers take the same of the pixels."""
    first = layers[0].pixels
    return all(
        one.pixels.sources == first.sources
        and np.array_equal(one.pixels.factor, first.factor)
        and np.array_equal(one.pixels.offset, first.offset)
        for one in layers[1:]
    )


def _ends(pixels: Pixels, fed: Range) -> tuple[Array, Array]:
    """Return, per channel, what black and white are at the first layer if they are fed so."""
    black = pixels.factor * fed.offset + pixels.offset
    white = pixels.factor * (fed.factor + fed.offset) + pixels.offset
    return np.minimum(black, white), np.maximum(black, white)


def _is_canonical(pixels: Pixels, fed: Range) -> bool:
    """Whether it becomes, from another range, one that networks are made for."""
    low, high = _ends(pixels, fed)
    shift = np.maximum(np.abs(low - fed.offset), np.abs(high - fed.offset - fed.factor))
    return bool(np.all(shift > _CHANGED * fed.factor)) and any(
        bool(np.all(np.abs(low - first) <= _NEAR * (last - first)))
        and bool(np.all(np.abs(high - last) <= _NEAR * (last - first)))
        for first, last in _CANONICAL
    )


def _on_the_way(pixels: Pixels) -> list[Name]:
    """Return the ranges from which pixels first became one that networks are made for.

    What comes behind that is the network's own: a layer that scales, and then one that normalises.
    """
    for factor, offset in pixels.stages:
        count = len(pixels.sources)
        then = replace(pixels, factor=np.full(count, factor), offset=np.full(count, offset))
        fitting = [name for name in _FED if _is_canonical(then, BY_NAME[name])]
        if fitting:
            return fitting
    return []


def _is_normalised(pixels: Pixels, fed: Range) -> bool:
    """Whether it takes off the means of ImageNet, of 0..255 or 0..1."""
    if fed.offset:
        return False
    means = -pixels.offset / (pixels.factor * fed.factor)
    if color_of_means(means, 0.012) is None:
        return False
    width = np.abs(pixels.factor * fed.factor)
    return bool(
        np.all(np.abs(width - 255) < 5)  # as Caffe: not divided
        or np.all(np.abs(width * np.median(IMAGENET_STDS) - 1) < 0.1)
        or np.all(np.abs(width - 1) < 0.05)
        or np.all(np.abs(width - 2) < 0.1)
    )


def _adapted(pixels: Pixels) -> list[Name]:
    """Return the range whose mean and deviation, those of a data set, are taken off."""
    mean = float(np.median(-pixels.offset / pixels.factor))
    if np.all(np.abs(pixels.factor - 1) < 0.05):  # it is not divided by a deviation
        return ["raw"] if 60 <= mean <= 200 else []
    deviation = float(np.median(1 / np.abs(pixels.factor)))
    fits = sorted((misfit(BY_NAME[name], mean, deviation), name) for name in _FED)
    is_clear = fits[0][0] <= FITTING and fits[1][0] - fits[0][0] >= DECISIVE
    return [fits[0][1]] if is_clear else []


def _color(pixels: Pixels) -> tuple[Color | None, Array]:
    """Return the order of colours of the input that the means taken off its channels tell."""
    sources, means = list(pixels.sources), np.zeros(0)
    if sorted(sources) != [0, 1, 2] or not np.all(pixels.factor):
        return None, means
    means = np.empty(3)
    means[sources] = -pixels.offset / pixels.factor  # in the input's order
    for fed in (BY_NAME["raw"], BY_NAME["zero_one"]):
        color = color_of_means(means / fed.factor, _TYPED)
        if color is not None:
            return color, means
    return None, means


def _names(steps: tuple[str, ...]) -> str:
    shown = list(dict.fromkeys(steps))
    if len(shown) > _MOST_SHOWN:
        shown = [*shown[:2], f"{len(shown) - 2} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
