"""Pictures made on the spot."""

import io
from functools import cache

from PIL import Image

CRASH, HANG, SEIZE = b"please-crash", b"please-hang", b"please-seize"
ATTEMPT = b"please-attempt"
_AFTER_APP0 = 20  # bytes of a JPEG's beginning: the start marker and the JFIF header


def jpeg(light: int, *, side: int = 16, mark: int = 0) -> bytes:
    """Return a grey JPEG, from 0 (black) to 255 (white); another `mark` gives other bytes."""
    content, text = _jpeg(light, side), b"%d" % mark
    comment = b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text
    return content[:_AFTER_APP0] + comment + content[_AFTER_APP0:]


@cache  # encoding takes some milliseconds, and tests want thousands
def _jpeg(light: int, side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (light, light, light)).save(buffer, "JPEG")
    return buffer.getvalue()


def with_fault(picture: bytes, fault: bytes) -> bytes:
    """Return a JPEG that does something to a process into which `injected.faulty` was put."""
    comment = b"\xff\xfe" + (len(fault) + 2).to_bytes(2, "big") + fault
    return picture[:2] + comment + picture[2:]


def png(light: int, *, side: int = 16) -> bytes:
    """Return a grey PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (light, light, light)).save(buffer, "PNG")
    return buffer.getvalue()
