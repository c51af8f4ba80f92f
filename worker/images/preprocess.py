"""Preprocessing: a decoded image to one row of a network's input."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.images.modes import eight_bit
from worker.images.resizing.reduction import Box
from worker.images.resizing.resize import resize, values_of
from worker.models.preprocessing import Preprocessing

_MODES = {1: ("L",), 3: ("RGB", "RGBX", "RGBA")}


def prepare(
    image: Image.Image,
    spec: Preprocessing,
    dtype: npt.DTypeLike,
    *,
    box: Box | None = None,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[np.generic]:
    """Return the image as one input without its batch dimension.

    Shape by `spec.layout`: NHWC (H, W, C), NCHW (C, H, W), HW (H, W), flat (H * W * C,); values
    `(pixel * scale - mean) / std` in float32, standardised if `spec` says so, then cast to `dtype`
    (rounded and clipped to its range where it is an integer type). Transparency is ignored, as
    training code does.

    `box` is where in the image the picture is, if not everywhere. The input is written into `out`
    where that is given, one contiguous array of that shape and `dtype`.
    """
    pixels = _resized(_coloured(image, spec), spec, box)
    if spec.color == "bgr":
        pixels = pixels[..., ::-1]
    row = np.empty(spec.shape, dtype) if out is None else out
    target = _as_pixels(row, spec)
    if row.dtype == np.float32:
        _calculate(pixels, spec, target)
    else:
        values = np.empty(pixels.shape, np.float32)
        _calculate(pixels, spec, values)
        target[...] = _fitting(values, row.dtype)
    return row


def _calculate(
    pixels: npt.NDArray[np.uint8], spec: Preprocessing, values: npt.NDArray[np.float32]
) -> None:
    """Write what becomes of the pixels into `values`, of the same shape."""
    # x / 255 and x * (1 / 255) differ in the last bit, and training code divides.
    divisor = round(2 / spec.scale) / 2
    if spec.scale == 1.0:
        values[...] = pixels
    elif abs(divisor * spec.scale - 1) < 1e-12:
        np.divide(pixels, np.float32(divisor), out=values)
    else:
        np.multiply(pixels, np.float32(spec.scale), out=values)
    if any(spec.mean):
        values -= np.asarray(spec.mean, np.float32)
    if any(value != 1.0 for value in spec.std):
        values /= np.asarray(spec.std, np.float32)
    if spec.standardise:  # as tf.image.per_image_standardization
        values -= np.float32(values.mean(dtype=np.float64))
        values /= np.float32(max(values.std(dtype=np.float64), values.size**-0.5))


def _coloured(image: Image.Image, spec: Preprocessing) -> Image.Image:
    image = eight_bit(image)
    modes = _MODES[spec.channels]
    return image if image.mode in modes else image.convert(modes[0])  # which would copy it


def _resized(image: Image.Image, spec: Preprocessing, box: Box | None) -> npt.NDArray[np.uint8]:
    """Return the pixels of an image, or of the part in a box, at the size of an input."""
    height, width = spec.size
    if box is None and image.size == (width, height):
        return values_of(image)
    left, top, right, bottom = box or (0, 0, *image.size)
    match spec.resize:
        case "crop":
            middle = _middle((left, top, right, bottom), width / height)
            return resize(image, (width, height), middle, spec.filter)
        case "pad":
            size = _contained(right - left, bottom - top, (width, height))
            channels = () if spec.channels == 1 else (spec.channels,)
            padded = np.zeros((height, width, *channels), np.uint8)
            if min(size) > 0:
                # One of the two is nought.
                x, y = round((width - size[0]) * 0.5), round((height - size[1]) * 0.5)
                padded[y : y + size[1], x : x + size[0]] = resize(image, size, box, spec.filter)
            return padded
        case _:
            return resize(image, (width, height), box, spec.filter)


def _middle(box: Box, ratio: float) -> Box:
    """Return the largest part in the middle of a box that is `ratio` times as wide as high."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if width / height > ratio:
        left += (width - ratio * height) * 0.5
        return left, top, left + ratio * height, bottom
    if width / height < ratio:
        top += (height - width / ratio) * 0.5
        return left, top, right, top + width / ratio
    return box


def _contained(width: float, height: float, size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size within `size` of which the sides are to each other as these."""
    ratio = width / height
    if ratio > size[0] / size[1]:
        return size[0], round(height / width * size[0])
    if ratio < size[0] / size[1]:
        return round(ratio * size[1]), size[1]
    return size


def _as_pixels(row: npt.NDArray[Any], spec: Preprocessing) -> npt.NDArray[Any]:
    """Return a view of one input as an image has its pixels: (H, W), or (H, W, C) of colours."""
    if spec.channels == 1:
        return row.reshape(spec.size, copy=False)
    if spec.layout == "NCHW":
        return row.transpose(1, 2, 0)
    return row.reshape((*spec.size, spec.channels), copy=False)


def _fitting(values: npt.NDArray[np.float32], dtype: np.dtype[Any]) -> npt.NDArray[np.float32]:
    """Return values that can be cast to `dtype`: whole ones in its range, if it has only those."""
    if not np.issubdtype(dtype, np.integer):
        return values
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max)
