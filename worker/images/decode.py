"""Decoding: bytes to pixels, with limits, and with a sentence for every way that it can fail."""

import contextlib
import io
import struct
import zlib
from typing import Literal

from PIL import (
    ExifTags,
    Image,
    ImageFile,
    JpegImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from worker.errors import ImageError, ImageTooLargeError, NotAnImageError, TruncatedImageError
from worker.images.jpeg import decode_plain, size_of_plain
from worker.images.quiet import Quiet
from worker.images.reduction import Picture, draft, scale_for, upright
from worker.models.preprocessing import Preprocessing

# The kinds that are accepted; Pillow knows many more, which nobody uploads but attackers. Its JPEG
# covers MPO, which phones write.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")

# Not among those that Pillow knows at once; for them it would import every plugin that it has.
_PLUGINS = (TiffImagePlugin, WebPImagePlugin)

_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
# Pillow warns of what is wrong beside the pixels, which does not matter here, and of sizes below
# its own limit; ours is checked.
_QUIET = Quiet()
_CUT_OFF = "The image is cut off before its last pixel."
_TRUNCATION_WORDS = ("truncated", "end of file", "eof", "unexpected end", "premature")

# How to turn an image upright, by the EXIF orientation that says how it lies.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def sniff(head: bytes) -> str | None:
    """Return the media type of an image by its first bytes (16 suffice), or None."""
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def decode(data: bytes, *, most_pixels: int) -> Image.Image:
    """Return the image, upright as its EXIF orientation says, every pixel decoded.

    Of an animation this is the first frame. Raises `NotAnImageError`, `TruncatedImageError`,
    `ImageTooLargeError` (before the pixels are decoded) or `ImageError` for other damage.
    """
    return _decode(data, None, most_pixels).image


def decode_for(data: bytes, spec: Preprocessing | None, *, most_pixels: int) -> Picture:
    """Return the image as `decode` does, but no larger than an input of this kind needs it.

    That saves time with large JPEGs alone; any other image, and with None any at all, is decoded
    whole. It may be of the mode RGBX, which is RGB with a fourth byte without meaning. Raises what
    `decode` raises; `most_pixels` are those of the file.
    """
    size = size_of_plain(data)
    if size is not None and size[0] * size[1] <= most_pixels:
        image = decode_plain(data) if spec is None or scale_for(*size, spec) == 1 else None
        if image is not None:
            return Picture(image)
    return _decode(data, spec, most_pixels)


def _decode(data: bytes, spec: Preprocessing | None, most_pixels: int) -> Picture:
    if not data:
        raise NotAnImageError("The file is empty.")
    try:
        with _QUIET:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            width, height = image.size
            if width * height > most_pixels:
                raise ImageTooLargeError(
                    f"The image has {width} x {height} pixels; at most {most_pixels:,} are allowed."
                )
            return _loaded(image, data, spec)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageTooLargeError(
            f"The image has more pixels than allowed; at most {most_pixels:,} are."
        ) from None
    except UnidentifiedImageError:
        kind = sniff(data[:16])
        if _is_cut_off(data):
            raise TruncatedImageError(_CUT_OFF) from None
        if kind is None:
            raise NotAnImageError(
                "The file is not an image of a known kind (JPEG, PNG, GIF, WebP, BMP or TIFF)."
            ) from None
        raise ImageError(f"The file begins as {kind}, but its header is damaged.") from None
    except MemoryError:
        raise ImageTooLargeError("The image does not fit into memory.") from None
    except Exception as error:  # Pillow's plugins raise any error on damaged data
        reason = str(error).split("\n", 1)[0].rstrip(".")
        if any(word in reason.lower() for word in _TRUNCATION_WORDS) or _is_cut_off(data):
            raise TruncatedImageError(_CUT_OFF) from None
        raise ImageError(f"The image is damaged: {reason or type(error).__name__}.") from None


def _loaded(image: Image.Image, data: bytes, spec: Preprocessing | None) -> Picture:
    """Decode the pixels of an opened image and turn it upright."""
    size, scale = image.size, 1
    if spec is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
        scale = draft(image, data, spec, _turn(image))
    image.load()
    if image.format == "PNG":
        _check_png(data)
    return upright(image, size, scale, _turn(image))


def _is_cut_off(data: bytes) -> bool:
    """Whether the header says that there is more, of kinds whose decoders do not say so."""
    if len(data) < 12:
        return False
    match sniff(data[:16]):
        case "image/webp":
            return int.from_bytes(data[4:8], "little") + 8 > len(data)
        case "image/tiff":
            order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
            return int.from_bytes(data[4:8], order) + 2 > len(data)
    return False


def _check_png(data: bytes) -> None:
    """Raise `ImageError` where the checksum of the pixels is wrong or cut off.

    Pillow does not look at it.
    """
    position = 8
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IDAT":
            end = position + 8 + length
            if end + 4 > len(data):
                raise TruncatedImageError(_CUT_OFF)
            found = zlib.crc32(memoryview(data)[position + 4 : end])
            if found.to_bytes(4, "big") != data[end : end + 4]:
                raise ImageError("The image is damaged: the checksum of its pixels is wrong.")
        position += 12 + length


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what makes an image upright, or None."""
    orientation = None
    with contextlib.suppress(Exception):  # damaged EXIF data is no reason to refuse the pixels
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


# A truncated image is an error here, never a half grey picture.
ImageFile.LOAD_TRUNCATED_IMAGES = False
