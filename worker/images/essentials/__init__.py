"""Essentials: what of a file its pixels need, and nothing else.

Every format carries more than pixels: texts, previews, profiles, positions, pages. Libraries read
all of it, mostly before they say how large the image is, and often without an end: a directory of
65,535 entries that each name the same megabyte becomes 64 GB. So each format has a module here
that reads what is wanted beside the pixels (how the image lies) with limits of its own and leaves
the rest out of what the decoder is given.
"""

from typing import NamedTuple


class Essentials(NamedTuple):
    """A file of which only the pixels are left, and what the rest of it said."""

    file: bytes
    orientation: int | None = None  # as EXIF counts: 1 is upright
    size: tuple[int, int] | None = None  # (width, height) in pixels, where it is known already
    greys: tuple[int, int] = (0, 65535)  # of 16 bits: what is black, and what is white
    cost_s: float = 0.0  # about what its decoder needs at most, if it cannot be stopped on its way
    memory: int = 0  # bytes that its decoder takes at most, beside those of the image
