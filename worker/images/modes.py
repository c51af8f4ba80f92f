"""Modes: converting pixels of every kind to greys or colours of 8 bits."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.errors import UnsupportedFormatError

# What is turned into grey or RGB as it is needed. Transparency is ignored, as training code does.
_PLAIN = frozenset({"1", "L", "P", "LA", "PA", "RGB", "RGBX", "RGBA", "CMYK", "YCbCr"})
# Colours that were multiplied with their opacity, and what they are without.
_MULTIPLIED = {"La": "LA", "RGBa": "RGBA"}

# Bytes of memory that a pixel takes, by its mode, until it is a colour or grey of 8 bits.
_PIXEL_BYTES = {"1": 5, "L": 5, "P": 5, "I": 6, "RGB": 4, "RGBX": 4, "RGBA": 4}
_OTHER_PIXEL_BYTES = 8


def memory_of(image: Image.Image, *, turned: bool) -> int:
    """Return about how many bytes of memory an opened image takes until it is resized."""
    kind = "I" if image.mode.startswith("I;16") else image.mode
    pixel = _PIXEL_BYTES.get(kind, _OTHER_PIXEL_BYTES)
    return image.width * image.height * (max(pixel, 8) if turned else pixel)


def eight_bit(image: Image.Image, greys: tuple[int, int] = (0, 65535)) -> Image.Image:
    """Return a decoded image with values of 8 bits.

    `greys`: of greys of 16 bits, which value is black and which is white. Raises
    `UnsupportedFormatError` for pixels of which nobody can tell what is white.
    """
    if image.mode in _PLAIN:
        image.info.pop("transparency", None)  # about which conversions would warn
        return image
    if image.mode.startswith("I;16"):
        table = _table(*greys)
        values = np.asarray(image)
        if len(table) < 1 << 16:
            values = np.minimum(values, np.uint16(len(table) - 1))
        return Image.fromarray(table[values])
    if image.mode in _MULTIPLIED:
        return image.convert(_MULTIPLIED[image.mode])
    if image.mode == "LAB":
        return _from_lab(image)
    raise UnsupportedFormatError(
        "The image has values of more than 16 bits, which is not accepted: save it with 8 bits "
        "for each colour."
    )


@lru_cache(4)
def _table(black: int, white: int) -> npt.NDArray[np.uint8]:
    """Return the 8-bit grey for each value up to the larger of the two."""
    values = np.arange(max(black, white) + 1, dtype=np.float64)
    return np.rint((values - black) / (white - black) * 255).astype(np.uint8)


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms  # noqa: PLC0415 - rare, and loads another library

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    return transform.apply(image)
