"""JPEG: segments up to the pixels; format: ITU-T T.81, annex B."""

import re
from collections.abc import Iterator

from worker.errors import ImageError, TruncatedImageError, UnsupportedFormatError
from worker.images.stripping import StrippedImage
from worker.images.stripping.exif import orientation_in, orientation_of

# Each scan is one more way over all pixels, be it of two bytes for a whole image. That is what the
# cheapest way takes for a pixel.
_SCAN_PIXEL_S = 1.5e-9
_SCAN = b"\xff\xda"

_MARKER = re.compile(rb"\xff[^\x00\xff]")
_LONGEST_BEGINNING = 2  # bytes of a marker
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
# What says nothing about pixels: applications' data, but those of JFIF (0xE0) and Adobe (0xEE),
# which say how colours are stored; and comments.
_BESIDE = frozenset(range(0xE1, 0xF0)) - {0xEE} | {0xFE}
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"


def scans_cost_s(data: bytes, pixels: int) -> float:
    """Return about how long the scans of a JPEG take at least, in seconds."""
    return data.count(_SCAN) * pixels * _SCAN_PIXEL_S


def scans_memory(data: bytes, pixels: int, values: float = 3.0) -> int:
    """Return the bytes of memory that a JPEG's frequencies take beside its pixels.

    They are kept only where there is more than one scan: 2 bytes for each of so many `values` of a
    pixel, which are fewer than its colours where some of these are coarser.
    """
    return round(2 * values * pixels) if data.count(_SCAN) > 1 else 0


def strip(data: bytes) -> StrippedImage:
    """Return a JPEG of which only the pixels are left: of several images, the first.

    What does not belong between segments is passed over, as decoders do.
    """
    kept = [data[:2]]
    size: tuple[int, int] | None = None
    values = 3.0
    exif: int | None = None
    xmp: int | None = None
    for kind, start, end in _segments(data):
        content = data[start + 4 : end]
        if kind in _FRAMES:
            _check(kind, content)
            values = _values(content)
            size = int.from_bytes(content[3:5], "big"), int.from_bytes(content[1:3], "big")
        elif kind == 0xF7:
            raise UnsupportedFormatError(
                "The image is a JPEG-LS, which is not accepted: convert it to JPEG or PNG."
            )
        elif kind == 0xE1 and content.startswith(_EXIF):
            exif = exif or orientation_of(content)
        elif kind == 0xE1 and content.startswith(_XMP):
            xmp = xmp or orientation_in(content)
        if kind not in _BESIDE:
            kept.append(data[start:end])
    file, pixels = b"".join(kept), size[0] * size[1] if size else 0
    cost_s, memory = scans_cost_s(file, pixels), scans_memory(file, pixels, values)
    return StrippedImage(file, exif or xmp, size, cost_s=cost_s, memory=memory)


def _check(kind: int, frame: bytes) -> None:
    if len(frame) < 6:
        raise TruncatedImageError("The image is cut off before its first pixel.")
    bits = frame[0]
    if bits != 8 and kind < 0xC8:
        raise UnsupportedFormatError(
            f"The image is a JPEG of {bits} bits, which is not accepted: save it with 8 bits."
        )


def _values(frame: bytes) -> float:
    """Return how many values there are for each pixel, counting what coarser colours have."""
    factors = [(factor >> 4) * (factor & 15) for factor in frame[7 : 6 + 3 * frame[5] : 3]]
    most = max(factors, default=0)
    return sum(factors) / most if most else 3.0


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Give each segment's kind, start and end; the pixels and all behind them are the last."""
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        start = found.start()
        kind = data[start + 1]
        if kind == 0xD9:
            break
        if kind == 0xDA:
            yield kind, start, len(data)
            return
        if kind in _ALONE:
            position = start + 2
        else:
            length = int.from_bytes(data[start + 2 : start + 4], "big")
            position = start + 2 + max(2, length)
            yield kind, start, position
    # What was cut off ends in a segment, or in the few bytes with which the next one begins.
    led_astray = found is None and len(data) - position >= _LONGEST_BEGINNING
    if led_astray or data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise ImageError("The JPEG is damaged: its header leads to no pixels. Save it again.")
    raise TruncatedImageError("The image is cut off before its first pixel.")
