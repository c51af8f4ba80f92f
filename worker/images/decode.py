"""Decoding: bytes to pixels, within limits, with an error for every way that it can fail."""

from collections.abc import Callable
from typing import NamedTuple

import structlog
from PIL import (
    Image,
    ImageFile,
    JpegImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from worker.errors import (
    ImageError,
    ImageTooLargeError,
    NotAnImageError,
    TruncatedImageError,
    UnsupportedFormatError,
)
from worker.images.clock import DecodingClock, TimedFile
from worker.images.kinds import HEAD, refusal, sniff
from worker.images.modes import eight_bit, memory_of
from worker.images.plain_jpeg import decode_plain, size_of_plain
from worker.images.quiet import IgnoredWarnings, silence_libraries
from worker.images.resizing.reduction import Picture, draft, scale_for, upright
from worker.images.stripping import StrippedImage, jpeg, png, tiff, webp
from worker.images.stripping.directory import Directory
from worker.models.preprocessing import Preprocessing

_log = structlog.get_logger(__name__)


class Limits(NamedTuple):
    """What the decoding of one image may take; the settings say it."""

    pixels: int = 100_000_000
    seconds: float = 3.0  # of the processor
    memory: int = 512 << 20  # bytes


class _Format(NamedTuple):
    """One accepted format: its name for Pillow, and the function that strips a file of it."""

    name: str
    strip: Callable[[bytes], StrippedImage] = StrippedImage


# By media type. Pillow knows many more, which nobody uploads but attackers; and each file is only
# tried as the one format that its first bytes say.
_FORMATS = {
    "image/jpeg": _Format("JPEG", jpeg.strip),
    "image/png": _Format("PNG", png.strip),
    "image/gif": _Format("GIF"),
    "image/webp": _Format("WEBP", webp.strip),
    "image/bmp": _Format("BMP"),
    "image/tiff": _Format("TIFF", tiff.strip),
}
FORMATS = tuple(known.name for known in _FORMATS.values())

# Not among those that Pillow knows at once; for them it would import every plugin that it has.
_PLUGINS = (TiffImagePlugin, WebPImagePlugin)

# The longest side of an image. No format for photographs goes beyond; what resizes a longer one
# would need gigabytes for its weights.
_LONGEST_SIDE = 65_535  # pixels

# Pillow warns of faults beside the pixels, which do not matter here, and of sizes below its own
# limit; ours is checked.
_QUIET = IgnoredWarnings()
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


def decode(data: bytes, limits: Limits) -> Image.Image:
    """Return the image, upright as its EXIF orientation says, every pixel decoded to 8 bits.

    Of an animation this is the first frame. Raises `NotAnImageError`, `UnsupportedFormatError`,
    `TruncatedImageError`, `ImageTooLargeError` (before the pixels are decoded),
    `ImageTooCostlyError` or `ImageError` for other damage.
    """
    return _decode(data, None, limits).image


def decode_for(data: bytes, spec: Preprocessing | None, limits: Limits) -> Picture:
    """Return the image as `decode` does, but no larger than an input of this kind needs it.

    That saves time with large JPEGs alone; any other image, and with None any at all, is decoded
    whole. It may be of the mode RGBX, which is RGB with a fourth byte without meaning. Raises what
    `decode` raises; the limit on pixels is for those of the file.
    """
    size = size_of_plain(data)
    if size is not None and _is_cheap(data, size[0] * size[1], limits):
        image = decode_plain(data) if spec is None or scale_for(*size, spec) == 1 else None
        if image is not None:
            return Picture(image)
    return _decode(data, spec, limits)


def _is_cheap(data: bytes, pixels: int, limits: Limits) -> bool:
    """Whether a plain JPEG is sure to stay below the limits, so that nothing needs to watch it.

    These are decoded without `_decode` and its checks.
    """
    return (
        pixels <= limits.pixels
        and jpeg.scans_cost_s(data, pixels) <= limits.seconds
        and jpeg.scans_memory(data, pixels) + 4 * pixels <= limits.memory
    )


def _decode(data: bytes, spec: Preprocessing | None, limits: Limits) -> Picture:
    if not data:
        raise NotAnImageError("The file is empty.")
    kind = sniff(data)
    if kind is None:
        error = refusal(data[:HEAD])
        if isinstance(error, UnsupportedFormatError):
            raise error
        raise NotAnImageError(error.message)
    known = _FORMATS[kind]
    clock = DecodingClock(limits.seconds)
    try:
        with _QUIET:
            stripped = known.strip(data)
            if stripped.size is not None:
                _check_size(stripped.size, limits)
            clock.afford(stripped.cost_s)
            file = TimedFile(stripped.file, clock)
            image = Image.open(file, formats=(known.name,))
            _check_size(image.size, limits)
            return _loaded(image, stripped, spec, limits)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageTooLargeError(
            f"The image has more pixels than allowed; at most {limits.pixels:,} are."
        ) from None
    except MemoryError:
        raise ImageTooLargeError("The image does not fit into memory.") from None
    except Exception as error:  # Pillow's plugins raise any error on damaged data
        _log.info("image refused", action="image_refused", format=known.name, error=repr(error))
        raise _damage(data, known.name, error) from None


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.pixels:
        raise ImageTooLargeError(
            f"The image has {width} x {height} pixels; at most {limits.pixels:,} are allowed."
        )
    if max(size) > _LONGEST_SIDE:
        raise ImageTooLargeError(
            f"The image has {width} x {height} pixels; no side may have more than "
            f"{_LONGEST_SIDE:,}."
        )


def _loaded(
    image: Image.Image, stripped: StrippedImage, spec: Preprocessing | None, limits: Limits
) -> Picture:
    """Decode the pixels of an opened image and turn it upright."""
    turn = _UPRIGHT.get(stripped.orientation or 1)
    size, scale = image.size, 1
    if spec is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
        scale = draft(image, stripped.file, spec, turn)
    memory = stripped.memory + memory_of(image, turned=turn is not None)
    if memory > limits.memory:
        most = size[0] * size[1] * limits.memory // memory
        raise ImageTooLargeError(
            f"The image has {size[0]} x {size[1]} pixels; as it is stored, at most about "
            f"{most:,} fit into the memory that one may take. A plain JPEG may have more."
        )
    image.load()
    return upright(eight_bit(image, stripped.greys), size, scale, turn)


def _damage(data: bytes, name: str, error: Exception) -> ImageError:
    """Return the error for an image that Pillow could not decode.

    Pillow's own message is for programmers; it is in the log.
    """
    name = "WebP" if name == "WEBP" else name
    reason = str(error).lower()
    if any(word in reason for word in _TRUNCATION_WORDS):
        return TruncatedImageError(_CUT_OFF)
    if name == "TIFF":
        directory = Directory(data)
        if tiff.is_cut_off(directory, len(data)):
            return TruncatedImageError(_CUT_OFF)
        if isinstance(error, UnidentifiedImageError):
            return tiff.refused(tiff.described(directory))
    if isinstance(error, UnidentifiedImageError):
        return ImageError(f"The file begins as a {name}, but its header is damaged: save it again.")
    if name == "BMP":
        return ImageError("The BMP is damaged, or of a rare variant: save it again as PNG.")
    return ImageError(f"The {name} is damaged, its pixels cannot be decoded: save it again.")


silence_libraries()
# A truncated image is an error here, never a half grey picture.
ImageFile.LOAD_TRUNCATED_IMAGES = False
