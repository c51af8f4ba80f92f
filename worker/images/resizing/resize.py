"""Resizing: each filter gives the values of the library that it is named after.

The usual filter is Pillow's bilinear one, to the last bit, but in a sixth of Pillow's time, because
the kernels use vector instructions. The filters of TensorFlow and OpenCV use the same kernels with
other weights; their values differ from those libraries' by at most one level of 255, and they crop
at whole pixels. Other filters of Pillow are left to Pillow.
"""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.images.resizing.kernels import BLOCK, Kernels, kernels
from worker.images.resizing.pixels import SeveralBlocksError, pixels
from worker.images.resizing.reduction import Box
from worker.images.resizing.weights import PRECISION, PairedWeights, Weights, paired, weights
from worker.models.preprocessing import Filter

_COLOURED = ("RGB", "RGBX", "RGBA")
_COPIED = 1 << 23  # bytes of a picture that are copied at once, where it lies in several blocks
_PILLOWS = {
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}
# Rounding may reduce a whole number by so much.
_ALMOST = 1e-6  # pixels


def resize(
    image: Image.Image,
    size: tuple[int, int],
    box: Box | None = None,
    resample: Filter = "bilinear",
) -> npt.NDArray[np.uint8]:
    """Return the image, or the part of it within `box`, at a size of (width, height) pixels.

    The shape is (height, width) for a grey image, mode L, and (height, width, channels) for
    others; of RGBX and RGBA the fourth is left out. `box` lies within the image, as for
    `Image.resize`; what TensorFlow and OpenCV cut out are whole pixels.
    """
    compiled = kernels() if image.mode in _COLOURED else None
    if resample in _PILLOWS and (resample != "bilinear" or compiled is None):
        return _by_pillow(image, size, box, resample)
    kind: str = resample
    left, top, right, bottom = box or (0, 0, *image.size)
    if resample not in _PILLOWS:
        left, right = _whole(left, right)
        top, bottom = _whole(top, bottom)
    if resample == "cv2_area" and (right - left < size[0] or bottom - top < size[1]):
        kind = "cv2_area_enlarging"
    # Values are rounded after each pass, so the order of the passes matters. Pillow begins with the
    # columns where that makes the other pass much shorter.
    less_wide, less_high = image.width - size[0], image.height - size[1]
    if less_high > max(0, 2 * less_wide):
        image = image.transpose(Image.Transpose.TRANSPOSE)
        box = top, left, bottom, right
        return _resize(compiled, image, size[::-1], box, kind).swapaxes(0, 1)
    return _resize(compiled, image, size, (left, top, right, bottom), kind)


def _whole(start: float, end: float) -> tuple[int, int]:
    """Return the middle of a part of a line in whole pixels.

    As `smart_resize` in keras/src/utils/image_utils.py crops.
    """
    length = max(1, int(end - start + _ALMOST))
    first = int((start + end - length) / 2 + _ALMOST)
    return first, first + length


def _resize(
    compiled: Kernels | None, image: Image.Image, size: tuple[int, int], box: Box, kind: str
) -> npt.NDArray[np.uint8]:
    """Resize an image: first along its rows, then along its columns."""
    width, height = size
    left, top, right, bottom = box
    across = paired(kind, image.width, left, right, width)
    if across is None and kind == "bilinear":  # a picture of a few pixels
        return _by_pillow(image, size, box, kind)
    down = weights(kind, image.height, top, bottom, height)
    first, last = int(down.firsts[0]), int(down.firsts[-1] + down.counts[-1])  # rows that count
    down = down._replace(firsts=down.firsts - first)
    if compiled is None or across is None:
        values = values_of(image.crop((0, first, image.width, last)))
        along = weights(kind, image.width, left, right, width)
        return _summed(_summed(values.swapaxes(0, 1), along).swapaxes(0, 1), down)
    padded = math.ceil(width / BLOCK) * BLOCK
    rows = np.empty((last - first, padded, 4), np.uint8)
    _resize_rows(compiled, image, first, rows, across)
    resized = np.empty((height, padded, 3), np.uint8)
    compiled.down(rows, resized, down)
    return resized[:, :width]


def _summed(values: npt.NDArray[np.uint8], taken: Weights) -> npt.NDArray[np.uint8]:
    """Resize along the first axis, with the arithmetic of the kernels."""
    shape = len(taken.firsts), *(1 for _ in values.shape[1:])
    total = np.full((len(taken.firsts), *values.shape[1:]), 1 << (PRECISION - 1), np.int32)
    for tap, factors in enumerate(taken.factors.T):
        pixels_of_tap = values[np.minimum(taken.firsts + tap, len(values) - 1)]
        total += pixels_of_tap * factors.reshape(shape)
    total >>= PRECISION
    np.clip(total, 0, 255, out=total)
    return total.astype(np.uint8)


def _resize_rows(
    compiled: Kernels,
    image: Image.Image,
    first: int,
    rows: npt.NDArray[np.uint8],
    across: PairedWeights,
) -> None:
    """Resize rows of an image, from the `first` on, along their length, until `rows` are full."""
    line = image.width * 4
    try:
        with pixels(image) as address:
            compiled.along(address + first * line, line, rows, across)
        return
    except SeveralBlocksError:
        step = max(1, _COPIED // line)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        top = first + start
        with pixels(image.crop((0, top, image.width, top + len(part)))) as address:
            compiled.along(address, line, part, across)


def _by_pillow(
    image: Image.Image, size: tuple[int, int], box: Box | None, name: str
) -> npt.NDArray[np.uint8]:
    if image.mode == "RGBA":  # of which it would weigh the colours by their opacity
        image = image.convert("RGB")
    return values_of(image.resize(size, _PILLOWS[name], box))


def values_of(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return an image's values, of the shape that `resize` gives them."""
    found = np.asarray(image)
    return found[..., :3] if image.mode in ("RGBX", "RGBA") else found
