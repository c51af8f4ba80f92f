"""WebP: chunks in a RIFF file; format: RFC 9649."""

from collections.abc import Iterator

from worker.errors import ImageError, TruncatedImageError
from worker.images.stripping import StrippedImage
from worker.images.stripping.exif import orientation_in, orientation_of

_PIXEL_S = 45e-9  # for each pixel of the canvas, whatever is in it
_BYTE_S = 60e-9  # and for each byte of what is decoded
_PIXEL_BYTES = 12  # two canvases, as if it were an animation, and a copy
_MOST_CHUNKS = 10_000


def strip(data: bytes) -> StrippedImage:
    """Return a WebP file as it is, with its size and how it lies."""
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise TruncatedImageError("The image is cut off before its last pixel.")
    size: tuple[int, int] | None = None
    orientation: int | None = None
    for kind, start, length in _chunks(data):
        if size is None:
            size = _size(kind, data[start : start + 10])
        if kind == b"EXIF":
            orientation = orientation_of(data[start : start + length]) or orientation
        elif kind == b"XMP " and orientation is None:
            orientation = orientation_in(data[start : start + length])
    if size is None:
        raise ImageError("The WebP is damaged: it says no size. Save it again.")
    pixels = size[0] * size[1]
    cost_s = pixels * _PIXEL_S + len(data) * _BYTE_S
    return StrippedImage(data, orientation, size, cost_s=cost_s, memory=pixels * _PIXEL_BYTES)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give each chunk's kind, where its content begins and how long that is."""
    place = 12
    for _ in range(_MOST_CHUNKS):
        if place + 8 > len(data):
            return
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        yield data[place : place + 4], place + 8, length
        place += 8 + length + length % 2


def _size(kind: bytes, head: bytes) -> tuple[int, int] | None:
    match kind:
        case b"VP8X":
            across = int.from_bytes(head[4:7], "little")
            return across + 1, int.from_bytes(head[7:10], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(head[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            across = int.from_bytes(head[6:8], "little")
            return across & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    return None
