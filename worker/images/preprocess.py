"""Preprocessing: a decoded image to one row of a network's input."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from worker.models.preprocessing import Preprocessing

_MODES = {1: "L", 3: "RGB"}


def prepare(
    image: Image.Image, spec: Preprocessing, dtype: npt.DTypeLike
) -> npt.NDArray[np.generic]:
    """Return the image as one input without its batch dimension.

    Shape by `spec.layout`: NHWC (H, W, C), NCHW (C, H, W), HW (H, W), flat (H * W * C,); values
    `(pixel * scale - mean) / std` in float32, then cast to `dtype` (rounded and clipped to its
    range where it is an integer type). Transparency is ignored, as training code does.
    """
    pixels = np.asarray(_resized(_coloured(image, spec), spec))
    values = pixels.astype(np.float32)
    if spec.color == "bgr":
        values = values[..., ::-1]
    if spec.scale != 1.0:
        # x / 255 and x * (1 / 255) differ in the last bit, and training code divides.
        divisor = round(2 / spec.scale) / 2
        if abs(divisor * spec.scale - 1) < 1e-12:
            values /= np.float32(divisor)
        else:
            values *= np.float32(spec.scale)
    if any(spec.mean):
        values -= np.asarray(spec.mean, np.float32)
    if any(value != 1.0 for value in spec.std):
        values /= np.asarray(spec.std, np.float32)
    return _cast(_arranged(values, spec), np.dtype(dtype))


def _coloured(image: Image.Image, spec: Preprocessing) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow clips 16-bit greys when it converts them; scale them to 8 bits instead.
        grey = np.asarray(image, dtype=np.float32) / 257.0
        image = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    return image.convert(_MODES[spec.channels])


def _resized(image: Image.Image, spec: Preprocessing) -> Image.Image:
    height, width = spec.size
    if image.size == (width, height):
        return image
    method = Image.Resampling.BILINEAR
    match spec.resize:
        case "crop":
            return ImageOps.fit(image, (width, height), method)
        case "pad":
            return ImageOps.pad(image, (width, height), method, color=0)
        case _:
            return image.resize((width, height), method)


def _arranged(values: npt.NDArray[np.float32], spec: Preprocessing) -> npt.NDArray[np.float32]:
    if spec.layout == "flat":
        return values.reshape(-1)
    if spec.layout == "HW":
        return values
    if values.ndim == 2:
        values = values[..., np.newaxis]
    return values.transpose(2, 0, 1) if spec.layout == "NCHW" else values


def _cast(values: npt.NDArray[np.float32], dtype: np.dtype[Any]) -> npt.NDArray[np.generic]:
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return np.ascontiguousarray(values.astype(dtype, copy=False))
