"""Which range of pixels a network was trained on, measured in what it has learnt."""

import math

import numpy as np

from freezing.choosing.preprocessing.constants import Array
from freezing.choosing.preprocessing.moments import Moments
from freezing.choosing.preprocessing.pixels import Pixels
from freezing.choosing.preprocessing.ranges import (
    DECISIVE,
    FITTING,
    RANGES,
    Color,
    Range,
    color_of_means,
    misfit,
)
from freezing.choosing.preprocessing.reading import Reading

_ALIKE = 0.5  # how far apart, in deviations, channels lie that were made alike
_USUAL = (0.21, 0.31)  # standard deviations of photographs like ImageNet's, in 0..1


def of_moments(pixels: Pixels, seen: Moments) -> Reading:
    """Return which range a first normalisation has seen, and which order of colours.

    It is sure where the numbers fit one range and no other.
    """
    if np.any(pixels.factor != pixels.factor[0]) or pixels.factor[0] == 0:
        return Reading()
    means = np.empty(len(pixels.sources))
    if sorted(pixels.sources) != list(range(len(means))):
        return Reading()
    means[list(pixels.sources)] = (seen.mean - pixels.offset) / pixels.factor  # as the input's
    deviation = seen.deviation / abs(float(pixels.factor[0]))
    fits = sorted((_misfit(one, means, deviation), number) for number, one in enumerate(RANGES))
    (best, number), (next_best, _) = fits[0], fits[1]
    if not math.isfinite(best):
        return Reading()
    fed = RANGES[number]
    shown = ", ".join(f"{value:.3g}" for value in means)
    reason = (
        f"the batch normalisation {seen.name} was trained on pixels with a mean of {shown} and a "
        f"standard deviation of about {deviation:.2g}: they were fed as values from {fed.words}"
    )
    reasons = [reason]
    color = _color(fed, means, deviation)
    if color is not None:
        order = "red, green, blue" if color == "rgb" else "blue, green, red"
        reasons.append(f"its means are those of ImageNet in the order {order}")
    return Reading(
        scaling=fed.spec,
        color=color,
        reasons=reasons,
        is_sure=seen.is_exact
        and not fed.is_centred
        and best <= FITTING
        and next_best - best >= DECISIVE,
    )


def _misfit(fed: Range, means: Array, deviation: float) -> float:
    if fed.is_centred and np.ptp(means) > _ALIKE * deviation:
        return math.inf  # each channel's own mean was taken off
    return misfit(fed, float(np.mean(means)), deviation)


def _color(fed: Range, means: Array, deviation: float) -> Color | None:
    """Return the order of colours where means and deviation are those of ImageNet."""
    if fed.is_centred or not _USUAL[0] <= deviation / fed.factor <= _USUAL[1]:
        return None
    return color_of_means((means - fed.offset) / fed.factor, 0.012)
