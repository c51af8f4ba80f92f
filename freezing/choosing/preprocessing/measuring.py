"""Which range of pixels a network was trained on, measured in what it has learnt."""

import math
from dataclasses import dataclass

import numpy as np

from freezing.choosing.preprocessing.constant_values import Array
from freezing.choosing.preprocessing.graph_reading import GraphReading
from freezing.choosing.preprocessing.moments import Moments
from freezing.choosing.preprocessing.pixel_ranges import (
    DECISIVE,
    FITTING,
    RANGES,
    Color,
    Range,
    color_of_means,
    misfit,
)
from freezing.choosing.preprocessing.pixels import Pixels

_ALIKE = 0.5  # how far apart, in deviations, channels lie that were made alike
# Of a moving mean of 0 and variance of 1 that it began with, how much may be left: momentum to the
# power of the steps of training, 0.37 after 100 of Keras' 0.99.
_SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_HASTY = 1.0  # how rare so little training is, in squared deviations
_USUAL = (0.21, 0.31)  # standard deviations of photographs like ImageNet's, in 0..1


def of_moments(pixels: Pixels, seen: Moments) -> GraphReading:
    """Return which range a first normalisation has seen, and which order of colours.

    It is sure where the numbers fit one range and no other.
    """
    if np.any(pixels.factor != pixels.factor[0]) or pixels.factor[0] == 0:
        return GraphReading()
    if sorted(pixels.sources) != list(range(len(pixels.sources))):
        return GraphReading()
    fits = sorted(
        (_best(one, pixels, seen) for one in RANGES), key=lambda fit: (fit.misfit, fit.fed.rarity)
    )
    found, next_best = fits[0], fits[1].misfit
    if not math.isfinite(found.misfit):
        return GraphReading()
    fed, best, means, deviation = found.fed, found.misfit, found.means, found.deviation
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
    return GraphReading(
        scaling=fed.spec,
        color=color,
        reasons=reasons,
        is_sure=seen.is_exact
        and not fed.is_centred
        and best <= FITTING
        and next_best - best >= DECISIVE,
    )


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """How unlike pixels of a range the numbers are, and which numbers these were."""

    fed: Range
    misfit: float
    means: Array  # of the input's channels
    deviation: float


def _best(fed: Range, pixels: Pixels, seen: Moments) -> _Fit:
    """Return how the range fits best, whatever share of the numbers is from before training."""
    made = []
    for share in _SHARES if seen.is_moving else _SHARES[:1]:
        mean, variance = seen.mean / (1 - share), (seen.deviation**2 - share) / (1 - share)
        if share and variance <= 0:
            break
        means = np.empty(len(pixels.sources))
        means[list(pixels.sources)] = (mean - pixels.offset) / pixels.factor
        deviation = math.sqrt(max(variance, 0)) / abs(float(pixels.factor[0]))
        misfit = _misfit(fed, means, deviation) + (_HASTY if share else 0)
        made.append(_Fit(fed=fed, misfit=misfit, means=means, deviation=deviation))
    return min(made, key=lambda fit: fit.misfit)


def _misfit(fed: Range, means: Array, deviation: float) -> float:
    if fed.is_centred and np.ptp(means) > _ALIKE * deviation:
        return math.inf  # each channel's own mean was taken off
    return misfit(fed, float(np.mean(means)), deviation)


def _color(fed: Range, means: Array, deviation: float) -> Color | None:
    """Return the order of colours where means and deviation are those of ImageNet."""
    if fed.is_centred or not _USUAL[0] <= deviation / fed.factor <= _USUAL[1]:
        return None
    return color_of_means((means - fed.offset) / fed.factor, 0.012)
