"""TIFF files of every kind, made entry by entry: libraries write few of them."""

import struct
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

SHORT, LONG, BYTE = 3, 4, 1


def tiff(
    pixels: npt.NDArray[np.generic],
    *,
    order: Literal["<", ">"] = "<",
    big: bool = False,
    bits: int | None = None,
    tags: Mapping[int, int | tuple[int, ...] | bytes] | None = None,
) -> bytes:
    """Return pixels (H, W) or (H, W, samples), without compression, as a TIFF of one strip.

    `tags` overrule the usual ones: numbers are written as LONG, several or small ones as SHORT.
    """
    height, width = pixels.shape[:2]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    head = 16 if big else 8
    depth = bits or pixels.dtype.itemsize * 8
    found: dict[int, int | tuple[int, ...] | bytes] = {
        256: width,
        257: height,
        258: (depth,) * samples,
        259: (1,),
        262: (2 if samples >= 3 else 1,),
        273: head,
        277: (samples,),
        278: height,
        279: len(content),
        **(tags or {}),
    }
    start = head + len(content)
    inside, step = (8, 20) if big else (4, 12)
    extra = start + (8 if big else 2) + len(found) * step + inside
    rows, after = [], b""
    for tag, value in sorted(found.items()):
        kind, values, count = _packed(order, value)
        if len(values) > inside:
            place = extra + len(after)
            after += values
            values = struct.pack(order + ("Q" if big else "I"), place)
        layout = "HHQ" if big else "HHI"
        rows.append(struct.pack(order + layout, tag, kind, count) + values.ljust(inside, b"\0"))
    mark = b"II" if order == "<" else b"MM"
    if big:
        first = mark + struct.pack(order + "HHHQ", 43, 8, 0, start)
    else:
        first = mark + struct.pack(order + "HI", 42, start)
    counted = struct.pack(order + ("Q" if big else "H"), len(rows))
    return first + content + counted + b"".join(rows) + bytes(inside) + after


def _packed(order: str, value: int | tuple[int, ...] | bytes) -> tuple[int, bytes, int]:
    if isinstance(value, bytes):
        return BYTE, value, len(value)
    if isinstance(value, int):
        return LONG, struct.pack(order + "I", value), 1
    return SHORT, struct.pack(f"{order}{len(value)}H", *value), len(value)
