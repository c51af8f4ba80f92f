"""Plain JPEGs, decoded by libjpeg-turbo directly, which is faster than through Pillow.

Pillow reads every header in Python, and copies every row. It uses the same decoder, so the pixels
are the same. Unusual and damaged files are left to Pillow.
"""

import functools
import importlib
from collections.abc import Iterator
from typing import Any

from PIL import Image

# A JPEG begins with segments, each of which has its length after its marker.
_MARKER = 0xFF
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_FREQUENCIES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive
_APPLICATIONS = frozenset(range(0xE0, 0xF0))
_EXIF_OR_XMP = 0xE1  # which may say that the picture lies on its side
_PIXELS = 0xDA
_KNOWN = _TABLES | _FRAMES | _APPLICATIONS | {0xFE, _PIXELS}  # 0xFE: a comment


@functools.cache
def turbo() -> Any:
    """Return libjpeg-turbo, imported when it is first needed: the API decodes nothing."""
    try:
        return importlib.import_module("simplejpeg")
    except ImportError:  # there are no builds of it for some processors
        return None


def is_in_frequencies(data: bytes) -> bool:
    """Whether a JPEG is certain to be of a usual kind, which its decoder can make smaller.

    It decodes a lossless one at its full size whatever it is asked for, which Pillow must refuse
    then: the memory that it has made ready is for less.
    """
    return next((kind in _FREQUENCIES for kind in _segments(data) if kind in _FRAMES), False)


def size_of_plain(data: bytes) -> tuple[int, int] | None:
    """Return the width and height of a plain JPEG in pixels, as far as its header shows; or None.

    A plain one is of a usual kind, has three colours, and says nothing of how it lies.
    """
    library = turbo()
    if library is None or not data.startswith(b"\xff\xd8\xff"):
        return None
    kinds = list(_segments(data))
    frames = [kind for kind in kinds if kind in _FRAMES]
    if kinds[-1:] != [_PIXELS] or _EXIF_OR_XMP in kinds or not _FREQUENCIES.issuperset(frames):
        return None
    try:
        height, width, colours, _ = library.decode_jpeg_header(data)
    except Exception:  # it raises KeyError for ways to store colours that it does not know
        return None
    return (width, height) if colours == "YCbCr" else None


def decode_plain(data: bytes) -> Image.Image | None:
    """Return a plain JPEG as an image of the mode RGBX; None where anything about it is wrong."""
    try:
        pixels = turbo().decode_jpeg(data, "RGBX")
    except Exception:  # warnings are errors to it
        return None
    size = pixels.shape[1], pixels.shape[0]
    return Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1)  # the same memory


def _segments(data: bytes) -> Iterator[int]:
    """Yield the kind of each segment up to the pixels, or to one that should not be there."""
    position = 2
    while position + 4 <= len(data) and data[position] == _MARKER:
        kind = data[position + 1]
        if kind not in _KNOWN:
            return
        yield kind
        if kind == _PIXELS:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
