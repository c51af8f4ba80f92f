"""Which numbers pixels are fed as: the ranges that networks are trained on, and how to tell them.

Means of ImageNet: `keras.applications.imagenet_utils.preprocess_input`, modes "caffe" and "torch".
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from freezing.choosing.preprocessing.constant_values import Array
from worker.models.preprocessing import PreprocessingSpec

Color = Literal["rgb", "bgr"]
Name = Literal["raw", "zero_one", "minus_one_one", "half", "caffe", "imagenet"]

DECISIVE = 5.0  # by how much the next likely range must fit worse, in squared deviations
FITTING = 9.0  # how badly the likeliest range may fit at all
IMAGENET_MEANS = np.array([0.485, 0.456, 0.406])  # of red, green, blue in 0..1
IMAGENET_STDS = np.array([0.229, 0.224, 0.225])

# Of training pictures in 0..1: mean and standard deviation of all pixels, each with how far data
# sets lie apart in it (the second in logarithms), and how rare they are, as squared deviations.
# Photographs; things on black; things on white.
_POPULATIONS = (
    (0.45, 0.13, 0.25, 0.3, 0.0),
    (0.15, 0.12, 0.28, 0.35, 1.5),
    (0.82, 0.1, 0.26, 0.4, 1.5),
)


@dataclass(frozen=True)
class Range:
    """What pixels of 0..1 become when they are fed: times `factor`, plus `offset`."""

    name: Name
    factor: float
    offset: float
    words: str
    spec: PreprocessingSpec
    is_centred: bool = False  # each channel's own mean was taken off
    rarity: float = 0.0  # how seldom networks are fed so, as squared deviations


RANGES = (
    Range("zero_one", 1.0, 0.0, "0 to 1", PreprocessingSpec(preset="zero_one")),
    Range("raw", 255.0, 0.0, "0 to 255", PreprocessingSpec(preset="raw")),
    Range("minus_one_one", 2.0, -1.0, "-1 to 1", PreprocessingSpec(preset="minus_one_one")),
    Range(
        "caffe",
        255.0,
        -114.8,
        "0 to 255 less the means of ImageNet",
        PreprocessingSpec(preset="caffe"),
        is_centred=True,
        rarity=2.0,
    ),
    Range(
        "imagenet",
        1 / 0.226,
        -0.449 / 0.226,
        "0 to 1, normalised by the means and deviations of ImageNet",
        PreprocessingSpec(preset="imagenet"),
        is_centred=True,
        rarity=2.0,
    ),
    Range(
        "half",
        1.0,
        -0.5,
        "-0.5 to 0.5",
        PreprocessingSpec(scale=1 / 255, mean=[0.5]),
        rarity=4.0,
    ),
)
BY_NAME = {one.name: one for one in RANGES}


def misfit(fed: Range, mean: float, deviation: float) -> float:
    """Return how unlike pixels of this range numbers of this mean and standard deviation are.

    As squared standard deviations between data sets; infinite where no picture can be so.
    """
    pixel_mean, pixel_deviation = (mean - fed.offset) / fed.factor, deviation / fed.factor
    inside = -0.02 <= pixel_mean <= 1.02
    if not inside or pixel_deviation <= 0:
        return math.inf
    most = math.sqrt(max(pixel_mean * (1 - pixel_mean), 1e-4))
    if pixel_deviation > 1.1 * most:
        return math.inf
    return fed.rarity + min(
        ((pixel_mean - usual) / apart) ** 2
        + (math.log(pixel_deviation / usual_deviation) / apart_deviation) ** 2
        + rarity
        for usual, apart, usual_deviation, apart_deviation, rarity in _POPULATIONS
    )


def color_of_means(means: Array, tolerance: float) -> Color | None:
    """Return the order of colours in which these are the means of ImageNet (in 0..1)."""
    if len(means) != 3:
        return None
    if np.all(np.abs(means - IMAGENET_MEANS) <= tolerance):
        return "rgb"
    if np.all(np.abs(means - IMAGENET_MEANS[::-1]) <= tolerance):
        return "bgr"
    return None
