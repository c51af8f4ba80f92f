"""How an image lies: the one thing that is wanted of EXIF and XMP data."""

import re

from worker.images.stripping.directory import Directory

_ORIENTATION = 0x0112
_LONGEST = 1 << 20  # bytes of XMP that are searched
_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)\s*([1-8])[\"'<\s]")


def orientation_of(exif: bytes) -> int | None:
    """Return the orientation that EXIF data say, 1 to 8; None where they are damaged or do not."""
    if exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    try:
        value = Directory(exif).number(_ORIENTATION)
    except ValueError:
        return None
    return value if value is not None and 1 <= value <= 8 else None


def orientation_in(xmp: bytes) -> int | None:
    """Return the orientation that XMP data say, 1 to 8, or None."""
    found = _XMP.search(xmp, 0, _LONGEST)
    return int(found[1]) if found else None
