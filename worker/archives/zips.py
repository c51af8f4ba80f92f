"""Zip archives: only stored and deflated members, and a directory of a bounded size.

`zipfile` bounds what it unpacks per read for these two methods and for no other. Format: PKWARE's
APPNOTE.TXT.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from worker.archives.limits import ArchiveLimits, Budget
from worker.archives.member import DAMAGE, ArchiveMember
from worker.errors import (
    BadArchiveError,
    DamagedMemberError,
    PermafrostError,
    UnsupportedMediaError,
)

_MOST_AT_ONCE = 16 * 1024 * 1024  # bytes; of the directory, which zipfile reads as one
_ENTRY = b"PK\x01\x02"  # how an entry of the directory begins
_MOST_NAMES = 100_000  # that are read to recognise what an archive holds
_LOCAL_HEAD_BYTES = 30  # before a member's name and content
_ENCRYPTED, _STRONGLY_ENCRYPTED, _UTF_8 = 0x1, 0x40, 0x800  # of a member's flags
_AES = 99  # in place of a method, where AES encrypts a member
_METHODS = {
    1: "shrinking",
    6: "imploding",
    9: "Deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "Zstandard",
    95: "xz",
    96: "JPEG",
    98: "PPMd",
}


def zip_members(stream: BinaryIO, budget: Budget) -> Iterator[ArchiveMember]:
    """Give the files of a zip archive, of which the whole directory was checked before."""
    with _open(stream, budget) as archive:
        infos = archive.infolist()
        # `is_dir` fails on an entry without a name, which is no file of anybody's.
        named = [info for info in infos if info.filename and not info.is_dir()]
        files = [info for info in named if _is_file(info)]
        for info in files:
            _check(info, budget.called)
        for info in infos:
            budget.add_entry(info.file_size)
        _check_places(infos, archive.start_dir, budget.called)
        for info in files:
            yield _ZipMember(archive, info)


def zip_names(stream: BinaryIO) -> frozenset[str]:
    """Return the names in a zip's directory; none where it cannot be read, or names too many."""
    limits = ArchiveLimits(entries=_MOST_NAMES, unpacked_bytes=0, ratio=0.0)
    try:
        with _open(stream, Budget(limits, 0, "The archive")) as archive:
            return frozenset(archive.namelist())
    except (PermafrostError, OSError):
        return frozenset()


class _Bounded:
    """A file of which `zipfile` reads no piece that would not fit into memory."""

    def __init__(self, stream: BinaryIO, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self._size = stream.seek(0, os.SEEK_END)

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._stream.tell())
        if size < 0 or size > left:
            size = left
        if size > _MOST_AT_ONCE:
            raise self._budget.too_many()
        content = self._stream.read(size)
        if content.startswith(_ENTRY) and content.count(_ENTRY) > self._budget.limits.entries:
            raise self._budget.too_many()
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True


def _open(stream: BinaryIO, budget: Budget) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(cast("BinaryIO", _Bounded(stream, budget)))
    except PermafrostError:
        raise
    except (*DAMAGE, struct.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's own fault
        raise BadArchiveError(
            f"{budget.called} is damaged or cut off: its list of files, which stands at its end, "
            "cannot be read."
        ) from None


def _is_file(info: zipfile.ZipInfo) -> bool:
    """Whether a member is none of the links and devices that Unix writes into zips."""
    return stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)


def _check(info: zipfile.ZipInfo, called: str) -> None:
    if info.flag_bits & (_ENCRYPTED | _STRONGLY_ENCRYPTED) or info.compress_type == _AES:
        raise BadArchiveError(f"{called} is encrypted: send it without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        raise UnsupportedMediaError(
            f"{called} is compressed with {method}, which is not accepted: pack it with Deflate, "
            "as zip programs do unless they are told otherwise."
        )


def _check_places(infos: list[zipfile.ZipInfo], end: int, called: str) -> None:
    """Refuse members that share their bytes, by which a small archive unpacks to a large one."""
    free = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < free:
            raise BadArchiveError(f"{called} is damaged: files in it overlap.")
        free = info.header_offset + _LOCAL_HEAD_BYTES + info.compress_size
    if free > end:
        raise BadArchiveError(f"{called} is damaged: a file in it is cut off.")


class _ZipMember(ArchiveMember):
    """A member that can be read in any order with the others."""

    in_order = False

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        super().__init__(_stored_name(info))
        self._archive = archive
        self._info = info
        self._file: zipfile.ZipExtFile | None = None

    def read(self, size: int) -> bytes:
        try:
            if self._file is None:
                self._file = cast("zipfile.ZipExtFile", self._archive.open(self._info))
            return self._file.read(size)
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DamagedMemberError(
                f"The file is damaged in its archive: {_damage(error)}."
            ) from None


def _damage(error: Exception) -> str:
    if isinstance(error, zlib.error):
        return "its compressed data cannot be unpacked"
    if isinstance(error, EOFError):
        return "it is cut off"
    if "CRC" in str(error):
        return "its bytes do not have the checksum that the archive names"
    return "what the archive says of it twice is not the same"


def _stored_name(info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a member's name.

    zipfile reads names that are not marked as UTF-8 in the code page of the first PCs, though most
    programs that leave out the mark write bytes as they are.
    """
    return info.filename.encode("utf-8" if info.flag_bits & _UTF_8 else "cp437", "replace")
