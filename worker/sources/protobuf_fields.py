"""The fields of a protocol buffer's message, read from its bytes without its definition.

How they are written: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


class ProtoField(NamedTuple):
    """One field of a message."""

    number: int
    kind: int  # wire type
    start: int  # of what it holds
    end: int


def fields(data: bytes, start: int, end: int) -> Iterator[ProtoField]:
    """Give the fields of a message, up to where `data` ends or is none; the last may go on."""
    while start < end:
        tag, start = varint(data, start)
        number, kind = tag >> 3, tag & 7
        if not 1 <= number < 10_000 or start > len(data):
            return
        if kind == VARINT:
            after = varint(data, start)[1]
        elif kind in (FIXED64, FIXED32):
            after = start + (8 if kind == FIXED64 else 4)
        elif kind == BYTES:
            length, start = varint(data, start)
            after = start + length
        else:
            return
        yield ProtoField(number, kind, start, after)
        start = after


def inside(data: bytes, field: ProtoField) -> Iterator[ProtoField]:
    """Give the fields of the message that a field holds, as far as `data` goes."""
    return fields(data, field.start, min(field.end, len(data)))


def is_bytes(field: ProtoField, number: int) -> bool:
    """Whether the field has this number and holds bytes, a text or a message."""
    return (field.number, field.kind) == (number, BYTES)


def varint(data: bytes, start: int) -> tuple[int, int]:
    """Return the number at `start` and where it ends; past the data where it is cut off."""
    value = shift = 0
    while start < len(data):
        byte = data[start]
        value |= (byte & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if byte < 0x80:
            return value, start
        if shift > 63:
            break
    return 0, len(data) + 1
