"""Directories: the first one of a TIFF file, which EXIF data are, too.

Formats: TIFF 6.0, section 2, and BigTIFF (https://www.awaresystems.be/imaging/tiff/bigtiff.html).
"""

import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

_MOST_ENTRIES = 4096
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BIG_SIZES = {16: 8, 17: 8, 18: 8}
_NUMBERS = {1: 1, 3: 2, 4: 4, 16: 8}  # bytes of each whole number without sign, by its type


class DirectoryEntry(NamedTuple):
    """One entry: a tag and its values, which lie in the file at `place`."""

    tag: int
    type: int
    values: int
    place: int
    length: int  # of the values, in bytes
    raw: bytes  # the entry itself


class Directory:
    """The first directory of a file. No value is read before it is asked for.

    Raises `ValueError` where there is none, or where it is cut off.
    """

    def __init__(self, data: bytes) -> None:
        if data[:2] not in (b"II", b"MM"):
            raise ValueError("no byte order")
        self.order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
        self._data = data
        self._mark = "<" if self.order == "little" else ">"
        self.is_big = int.from_bytes(data[2:4], self.order) == 43
        head = f"{self._mark}Q" if self.is_big else f"{self._mark}I"
        try:
            (start,) = struct.unpack_from(head, data, 8 if self.is_big else 4)
            self._entries = {entry.tag: entry for entry in self._read(start)}
        except (struct.error, OverflowError) as error:
            raise ValueError(str(error)) from None

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def get(self, tag: int) -> DirectoryEntry | None:
        """Return the entry of a tag, if there is one."""
        return self._entries.get(tag)

    def number(self, tag: int) -> int | None:
        """Return the first of a tag's whole numbers, or None."""
        return next(iter(self.numbers(tag, 1)), None)

    def numbers(self, tag: int, most: int) -> tuple[int, ...]:
        """Return a tag's whole numbers, at most so many; none where it has other values."""
        entry = self._entries.get(tag)
        if entry is None or entry.type not in _NUMBERS:
            return ()
        size = _NUMBERS[entry.type]
        end = entry.place + min(entry.values, most) * size
        values = self._data[entry.place : end]
        return tuple(
            int.from_bytes(values[at : at + size], self.order)
            for at in range(0, len(values) - size + 1, size)
        )

    def _read(self, start: int) -> Iterator[DirectoryEntry]:
        if self.is_big:
            counted, layout, step, inside = "Q", "HHQQ", 20, 8
        else:
            counted, layout, step, inside = "H", "HHII", 12, 4
        (count,) = struct.unpack_from(self._mark + counted, self._data, start)
        if count > _MOST_ENTRIES:
            raise ValueError("too many entries")
        start += struct.calcsize(counted)
        sizes = {**_SIZES, **_BIG_SIZES} if self.is_big else _SIZES
        for place in range(start, start + count * step, step):
            tag, kind, values, offset = struct.unpack_from(self._mark + layout, self._data, place)
            length = values * sizes.get(kind, 1)
            at = place + step - inside if length <= inside else offset
            yield DirectoryEntry(tag, kind, values, at, length, self._data[place : place + step])

    def of(self, tags: frozenset[int]) -> bytes:
        """Return a directory with only these of the entries, and none behind it."""
        kept = sorted(entry for tag, entry in self._entries.items() if tag in tags)
        head, end = ("Q", 8) if self.is_big else ("H", 4)
        count = struct.pack(self._mark + head, len(kept))
        return b"".join((count, *(entry.raw for entry in kept), bytes(end)))
