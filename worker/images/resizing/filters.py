"""Filters: how TensorFlow and OpenCV weigh the pixels of a line that they resize.

Each formula names its source. Pillow's own filters are not here: Pillow has them, and its
`bilinear`, which most models get, stands in `weights`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_Numbers = npt.NDArray[Any]


class Shares(NamedTuple):
    """What each of the `width` pixels of a resized line takes from a line."""

    firsts: npt.NDArray[np.int64]  # (width,): the first pixel that counts
    shares: npt.NDArray[np.float64]  # (width, taps): of it and its followers, together 1


def tf_bilinear(length: int, width: int) -> Shares:
    """`tf.image.resize`: half-pixel centres, two pixels whatever the scale.

    `HalfPixelScaler` in tensorflow/core/util/image_resizer_state.h, in single precision.
    """
    scale = np.float32(length) / np.float32(width)
    half = np.float32(0.5)
    return _between((np.arange(width, dtype=np.float32) + half) * scale - half, length)


def tf1_bilinear(length: int, width: int) -> Shares:
    """`tf.compat.v1.image.resize_bilinear`: the same, measured from the left edges of pixels.

    `LegacyScaler` in tensorflow/core/util/image_resizer_state.h.
    """
    scale = np.float32(length) / np.float32(width)
    return _between(np.arange(width, dtype=np.float32) * scale, length)


def cv2_linear(length: int, width: int) -> Shares:
    """`cv2.resize` with `INTER_LINEAR`: as `tf_bilinear`, in double precision.

    `hal::resize` in modules/imgproc/src/resize.cpp of OpenCV.
    """
    return _between((np.arange(width) + 0.5) * (length / width) - 0.5, length)


def cv2_area(length: int, width: int) -> Shares:
    """`cv2.resize` with `INTER_AREA`, shrinking: the mean of what a pixel of the result covers.

    Pixels at its ends count by the part that it covers: `computeResizeAreaTab` in resize.cpp.
    """
    scale = length / width
    starts = np.arange(width) * scale
    ends = np.minimum(starts + scale, length)
    firsts = np.minimum(starts.astype(np.int64), length - 1)
    taps = int((np.ceil(ends).astype(np.int64) - firsts).max())
    pixels = firsts[:, np.newaxis] + np.arange(taps)
    covered = np.minimum(pixels + 1, ends[:, np.newaxis]) - np.maximum(
        pixels, starts[:, np.newaxis]
    )
    covered = np.maximum(covered, 0.0)
    return Shares(firsts, covered / covered.sum(axis=1, keepdims=True))


def cv2_area_enlarging(length: int, width: int) -> Shares:
    """`INTER_AREA` where one of the sides grows: each pixel with hardly any of the next one.

    `area_mode` of `hal::resize` in resize.cpp, which both sides are resized with then. Its share of
    the next one jumps from 1 to 0, so that every rounding must be the same.
    """
    inverse = width / length
    x = np.arange(width)
    firsts = np.floor(x * (1.0 / inverse))
    beyond = ((x + 1) - (firsts + 1) * inverse).astype(np.float32)
    return _between(firsts + np.where(beyond > 0, beyond - np.floor(beyond), 0.0), length)


def _between(places: _Numbers, length: int) -> Shares:
    """Return the shares of both pixels that a place lies between; beyond an edge, of the edge's."""
    places = np.clip(places, 0, length - 1).astype(np.float64)
    firsts = np.minimum(places.astype(np.int64), max(length - 2, 0))
    second = places - firsts
    shares = np.stack([1.0 - second, second], axis=1)
    return Shares(firsts, shares[:, : min(length, 2)])


FILTERS: dict[str, Callable[[int, int], Shares]] = {
    "tf_bilinear": tf_bilinear,
    "tf1_bilinear": tf1_bilinear,
    "cv2_linear": cv2_linear,
    "cv2_area": cv2_area,
    "cv2_area_enlarging": cv2_area_enlarging,
}
