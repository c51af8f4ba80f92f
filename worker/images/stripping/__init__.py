"""Stripping an image file of everything but what its pixels need.

Every format carries more than pixels: texts, previews, profiles, positions, pages. Libraries read
all of it, mostly before the size of the image is known, and often without a limit: a directory of
65,535 entries that each name the same megabyte becomes 64 GB. So each format has a module here,
whose `strip` reads with limits of its own how the image lies and how large it is, and leaves the
rest out of what the decoder gets.
"""

from typing import NamedTuple


class StrippedImage(NamedTuple):
    """A file with its pixels only, and what was read from the rest of it."""

    file: bytes
    orientation: int | None = None  # as EXIF counts: 1 is upright
    size: tuple[int, int] | None = None  # (width, height) in pixels, where it is known already
    greys: tuple[int, int] = (0, 65535)  # of 16 bits: what is black, and what is white
    cost_s: float = 0.0  # about what its decoder needs at most, if it cannot be stopped meanwhile
    memory: int = 0  # bytes that its decoder takes at most, beside those of the image
