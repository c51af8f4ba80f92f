"""Decoding a large JPEG at a smaller scale, where a network's input is small.

A JPEG holds blocks of 8 x 8 pixels as frequencies. A decoder that leaves out the high ones gives
a half, a quarter or an eighth of both sides, in a fraction of the time; and what has to be resized
then is smaller, too. Only the compressed data must be read whole as ever, so that a file which is
cut off is still found out.
"""

from typing import NamedTuple

from PIL import Image, JpegImagePlugin

from worker.images.plain_jpeg import is_in_frequencies
from worker.models.preprocessing import Preprocessing

# Left, top, right, bottom in pixels of an image, whole or not.
Box = tuple[float, float, float, float]

# Pixels from which on a picture is large. Smaller pictures would save little time, and scores would
# differ more, because their details are finer compared with the pixels.
LARGE = 1_000_000

# By the scale: how many times the network's input both sides must remain at least. Then inputs
# differ by about as much as rounding to whole numbers causes. For an eighth the decoder has only
# the mean of each block, and rounds it up.
LEFT = {8: 6, 4: 3, 2: 3}

_Turn = Image.Transpose
SIDEWAYS = (_Turn.TRANSPOSE, _Turn.ROTATE_270, _Turn.TRANSVERSE, _Turn.ROTATE_90)
# What had been the right or the bottom edge is now the left, or the top.
_RIGHT_TO_LEFT = (_Turn.FLIP_LEFT_RIGHT, _Turn.ROTATE_180)
_BOTTOM_TO_LEFT = (_Turn.ROTATE_270, _Turn.TRANSVERSE)
_BOTTOM_TO_TOP = (_Turn.FLIP_TOP_BOTTOM, _Turn.ROTATE_180)
_RIGHT_TO_TOP = (_Turn.ROTATE_90, _Turn.TRANSVERSE)


class Picture(NamedTuple):
    """A decoded image, upright, and which part of it the picture is.

    Where the scale does not divide a side, only a part of the last row or column is the picture.
    """

    image: Image.Image
    box: Box | None = None  # None: all of it


def scale_for(width: int, height: int, spec: Preprocessing) -> int:
    """Return by what the sides of an upright picture may be divided: 8, 4, 2, or 1 for not at all.

    Both sides count, whichever way of resizing. What other filters than the usual one make of a
    smaller picture is not what they make of the whole one: some take single pixels.
    """
    if width * height < LARGE or spec.filter != "bilinear":
        return 1
    times = min(width / spec.size[1], height / spec.size[0])
    return next((scale for scale, left in LEFT.items() if times >= scale * left), 1)


def draft(
    image: JpegImagePlugin.JpegImageFile, data: bytes, spec: Preprocessing, turn: _Turn | None
) -> int:
    """Have a JPEG that is not loaded yet decoded smaller, if that may be; return the scale.

    `data` is the file and `turn` makes it upright. No colours are decoded for a network that takes
    grey.
    """
    width, height = image.size
    across, down = (height, width) if turn in SIDEWAYS else (width, height)
    scale = scale_for(across, down, spec)
    if scale == 1 or not is_in_frequencies(data):
        return 1
    grey = spec.color == "gray" and image.mode == "RGB"
    image.draft("L" if grey else image.mode, (width // scale, height // scale))
    return scale


def upright(image: Image.Image, size: tuple[int, int], scale: int, turn: _Turn | None) -> Picture:
    """Return a decoded image upright; `size` is the picture's (width, height) before `scale`."""
    turned = image if turn is None else image.transpose(turn)
    if scale == 1:
        return Picture(turned)
    width, height = size[0] / scale, size[1] / scale
    # Of the last column and row, what lies beyond the picture.
    beyond, below = image.width - width, image.height - height
    left = beyond if turn in _RIGHT_TO_LEFT else below if turn in _BOTTOM_TO_LEFT else 0.0
    top = below if turn in _BOTTOM_TO_TOP else beyond if turn in _RIGHT_TO_TOP else 0.0
    across, down = (height, width) if turn in SIDEWAYS else (width, height)
    return Picture(turned, (left, top, left + across, top + down))
