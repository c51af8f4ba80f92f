"""A zip archive that is sent as it is made: nothing compressed, its size known beforehand.

`zipfile` can write to what cannot seek, but then puts each checksum behind its file, where many
programs that read from a stream do not look. Here a file is read twice instead. Format: APPNOTE.TXT
of PKWARE, sections 4.3.7 (file header), 4.3.12 (directory) and 4.3.16 (end).
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

MOST_BYTES = 2**32 - 1  # of one member and of the archive; more would need Zip64
_FILE = struct.Struct("<IHHHHHIIIHH")
_DIRECTORY = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_VERSION = 20  # of the format, that is needed to read it: 2.0
_MADE_ON_UNIX = 3 << 8 | _VERSION
_UTF8 = 0x800
_FILE_MODE, _FOLDER_MODE = 0o100644 << 16, 0o40755 << 16 | 0x10


@dataclass(frozen=True, kw_only=True)
class ZipMember:
    """A file of the archive, or a folder if its name ends in a slash."""

    name: str
    size: int = 0  # bytes
    read: Callable[[], Iterable[bytes]] = tuple  # gives the same bytes each time


def in_memory(name: str, content: bytes) -> ZipMember:
    """Return a small file as a member."""
    return ZipMember(name=name, size=len(content), read=lambda: (content,))


def archive_size(members: Sequence[ZipMember]) -> int:
    """Return the number of bytes that `archive` gives."""
    heads = _FILE.size + _DIRECTORY.size
    return _END.size + sum(heads + 2 * len(m.name.encode()) + m.size for m in members)


def archive(members: Sequence[ZipMember], modified: datetime) -> Iterator[bytes]:
    """Give the archive in pieces.

    Raises `ValueError` where a member does not give as many bytes as it says.
    """
    directory = b""
    at = 0
    for member in members:
        checksum = _checksum(member)
        name = member.name.encode()
        common = (_UTF8, 0, *_dos(modified), checksum, member.size, member.size, len(name), 0)
        mode = _FOLDER_MODE if member.name.endswith("/") else _FILE_MODE
        directory += (
            _DIRECTORY.pack(0x02014B50, _MADE_ON_UNIX, _VERSION, *common, 0, 0, 0, mode, at) + name
        )
        yield _FILE.pack(0x04034B50, _VERSION, *common) + name
        yield from member.read()
        at += _FILE.size + len(name) + member.size
    count = len(members)
    yield directory + _END.pack(0x06054B50, 0, 0, count, count, len(directory), at, 0)


def _checksum(member: ZipMember) -> int:
    checksum = size = 0
    for piece in member.read():
        checksum = zlib.crc32(piece, checksum)
        size += len(piece)
    if size != member.size:
        raise ValueError(f"{member.name} has {size} bytes and not {member.size}")
    return checksum


def _dos(moment: datetime) -> tuple[int, int]:
    """Return time and date as MS-DOS wrote them, in steps of two seconds."""
    time = moment.hour << 11 | moment.minute << 5 | moment.second // 2
    return time, max(0, moment.year - 1980) << 9 | moment.month << 5 | moment.day
