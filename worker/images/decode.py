"""Decoding: bytes to pixels, with limits, and with a sentence for every way that it can fail."""

import io
import warnings

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from worker.errors import ImageError, ImageTooLargeError, NotAnImageError, TruncatedImageError

# The kinds that are accepted; Pillow knows many more, which nobody uploads but attackers.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "MPO")

_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
_TRUNCATION_WORDS = ("truncated", "end of file", "eof", "unexpected end", "premature")


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
    if not data:
        raise NotAnImageError("The file is empty.")
    try:
        with warnings.catch_warnings():
            # Pillow's own limit warns first and raises later; ours is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if width * height > most_pixels:
            raise ImageTooLargeError(
                f"The image has {width} x {height} pixels; at most {most_pixels:,} are allowed."
            )
        image.load()
        return ImageOps.exif_transpose(image)
    except ImageTooLargeError:
        raise
    except Image.DecompressionBombError:
        raise ImageTooLargeError(
            f"The image has more pixels than allowed; at most {most_pixels:,} are."
        ) from None
    except UnidentifiedImageError:
        kind = sniff(data[:16])
        if kind is None:
            raise NotAnImageError(
                "The file is not an image of a known kind (JPEG, PNG, GIF, WebP, BMP or TIFF)."
            ) from None
        raise ImageError(f"The file begins as {kind}, but its header is damaged.") from None
    except MemoryError:
        raise ImageTooLargeError("The image does not fit into memory.") from None
    except Exception as error:  # Pillow's plugins raise any error on damaged data
        reason = str(error).split("\n", 1)[0]
        if any(word in reason.lower() for word in _TRUNCATION_WORDS):
            raise TruncatedImageError("The image is cut off before its last pixel.") from None
        raise ImageError(f"The image is damaged: {reason or type(error).__name__}.") from None


# A truncated image is an error here, never a half grey picture.
ImageFile.LOAD_TRUNCATED_IMAGES = False
