"""Pictures made on the spot."""

import io

from PIL import Image


def jpeg(light: int, *, side: int = 16, mark: int = 0) -> bytes:
    """Return a grey JPEG, from 0 (black) to 255 (white); another `mark` gives other bytes."""
    buffer = io.BytesIO()
    image = Image.new("RGB", (side, side), (light, light, light))
    image.save(buffer, "JPEG", comment=b"%d" % mark)
    return buffer.getvalue()


def png(light: int, *, side: int = 16) -> bytes:
    """Return a grey PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (light, light, light)).save(buffer, "PNG")
    return buffer.getvalue()
