"""The address in memory of an image's pixels."""

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

from PIL import Image


class SeveralBlocksError(Exception):
    """The rows of an image do not lie one behind the other: Pillow keeps 16 MB in a block."""


class _ArrowArray(ctypes.Structure):
    """The head of an array in https://arrow.apache.org/docs/format/CDataInterface.html."""


_ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
]

_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


@contextlib.contextmanager
def pixels(image: Image.Image) -> Iterator[int]:
    """Give the address of the first pixel of an RGB or RGBX image, which stays valid meanwhile.

    Each pixel has four bytes, the last of them without meaning. Raises `SeveralBlocksError`.
    """
    # Pillow lends its memory as a list of lists of four bytes.
    try:
        array: Any = image.__arrow_c_array__()[1]
    except ValueError as error:
        raise SeveralBlocksError(str(error)) from error
    head = ctypes.cast(_pointer_of(array, b"arrow_array"), ctypes.POINTER(_ArrowArray)).contents
    yield head.children[0].contents.buffers[1]
