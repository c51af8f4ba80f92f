"""PNG: chunks with a checksum each; format: https://www.w3.org/TR/png-3/."""

import struct
import zlib

from worker.errors import ImageError, TruncatedImageError, UnsupportedFormatError
from worker.images.stripping import StrippedImage
from worker.images.stripping.exif import orientation_in, orientation_of

_CUT_OFF = "The image is cut off before its last pixel."
_MOST_CHUNKS = 200_000
_LONGEST_TEXT = 1 << 20  # bytes of one that is unpacked
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_XMP = b"XML:com.adobe.xmp\0"
_EXIF_TEXT = b"Raw profile type exif\0"  # how ImageMagick 6 writes EXIF data


def strip(data: bytes) -> StrippedImage:
    """Return a PNG of which only the pixels are left: of an animation, the image for all readers.

    Raises `ImageError` where the checksum of the pixels is wrong, and `TruncatedImageError` where
    they are cut off: its decoder does not look at that.
    """
    if data[12:16] == b"CgBI":
        raise UnsupportedFormatError(
            "The image is a PNG of an iPhone's program (CgBI), which is not accepted: turn it back "
            "with `pngcrush -revert-iphone-optimizations photo.png photo-2.png`."
        )
    kept = [data[:8]]
    kinds: set[bytes] = set()
    orientation: int | None = None
    texts = 2  # that may yet be looked into
    position = 8
    for _ in range(_MOST_CHUNKS):
        if position + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if kind == b"IDAT":
            _check(data, position, end)
        if kind in _PIXELS:
            kinds.add(kind)
            kept.append(data[position : end + 4])
        elif kind == b"eXIf" and end <= len(data):
            orientation = orientation_of(data[position + 8 : end]) or orientation
        elif texts and kind in (b"iTXt", b"zTXt") and end <= len(data):
            said = _orientation(kind, data[position + 8 : min(end, position + _LONGEST_TEXT)])
            texts -= said is not None
            orientation = orientation or said or None
        position = end + 4
        if kind == b"IEND":
            position = len(data)  # the rest is not examined
            break
    else:
        raise ImageError(f"The PNG is in more than {_MOST_CHUNKS:,} pieces: save it again.")
    kept.append(data[position:])
    if b"IDAT" not in kinds:
        if b"IEND" in kinds:
            raise ImageError("The image is damaged: it has no pixels.")
        raise TruncatedImageError(_CUT_OFF)
    width, height = struct.unpack_from(">II", data.ljust(24, b"\0"), 16)
    size = (width, height) if data[12:16] == b"IHDR" else None
    return StrippedImage(b"".join(kept), orientation, size)


def _check(data: bytes, position: int, end: int) -> None:
    """Raise where the checksum of a piece of the pixels is wrong or cut off."""
    if end + 4 > len(data):
        raise TruncatedImageError(_CUT_OFF)
    found = zlib.crc32(memoryview(data)[position + 4 : end])
    if found.to_bytes(4, "big") != data[end : end + 4]:
        raise ImageError("The image is damaged: the checksum of its pixels is wrong.")


def _orientation(kind: bytes, content: bytes) -> int | None:
    """Return how the image lies by a text, 0 where the text does not say; None for other texts."""
    if kind == b"iTXt" and content.startswith(_XMP):
        compressed = content[len(_XMP) : len(_XMP) + 1] == b"\x01"
        text = content[len(_XMP) + 2 :].split(b"\0", 2)[-1]  # behind two names of languages
        return orientation_in(_unpacked(text) if compressed else text) or 0
    if kind == b"zTXt" and content.startswith(_EXIF_TEXT):
        text = _unpacked(content[len(_EXIF_TEXT) + 1 :])  # "\nexif\n      78\n" and digits
        try:
            exif = bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))
        except ValueError:
            return 0
        return orientation_of(exif) or 0
    return None


def _unpacked(text: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(text, _LONGEST_TEXT)
    except zlib.error:
        return b""
