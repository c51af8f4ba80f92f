"""Tar archives, also compressed: headers of a bounded size, read in one pass.

`tarfile` reads whatever a header says about another one into memory, passes over files by unpacking
them, and follows sizes wherever they lead. Here it reads from a file that goes only forwards and
counts, and extended headers are examined before that. Format: pax(1) of POSIX and tar's manual.
"""

import os
import re
import tarfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol, TypeVar, cast

from worker.archives.decompression import Decompressed, is_compressed
from worker.archives.limits import Budget
from worker.archives.member import DAMAGE, ArchiveMember
from worker.errors import BadArchiveError, PermafrostError, UnsupportedMediaError
from worker.formatting import binary_size

_HEAD_BYTES = 512  # of one header; everything else is a multiple of it
_PIECE_BYTES = 64 * 1024  # passed over at once
_MOST_HEADER_BYTES = 256 * 1024  # of all that is said about one member
_MOST_EXTENDED_BYTES = 16 * 1024  # of one pax header or long name
_MOST_GLOBAL_BYTES, _MOST_GLOBAL = 4096, 4  # of pax headers for all members that follow
# tarfile's patterns for pax headers take time by the square of a number's length.
_LONG_NUMBER = re.compile(rb"[0-9]{64}")
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE)
_GNU_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_T = TypeVar("_T")


def is_tar_head(head: bytes) -> bool:
    """Whether the first 512 bytes of a file are those of a tar archive, be it an empty one."""
    if len(head) < _HEAD_BYTES:
        return False
    if not head.strip(b"\0"):
        return True
    try:
        tarfile.TarInfo.frombuf(head[:_HEAD_BYTES], "utf-8", "surrogateescape")
    except DAMAGE:
        # One that was damaged is still meant to be one.
        return head[257:262] == b"ustar"
    return True


def tar_members(stream: BinaryIO, budget: Budget) -> Iterator[ArchiveMember]:
    """Give the files of a tar archive one after the other."""
    source = _Forwards(stream, budget)
    if not is_tar_head(source.peek(_HEAD_BYTES)):
        raise UnsupportedMediaError(
            f"{budget.called} is compressed, but what it holds is no tar archive: send a zip, tar "
            "or tar.gz file."
        )
    archive = None
    try:
        archive = _guarded(lambda: _open(source), budget)
        while archive is not None:
            source.begin_header()
            info = _guarded(archive.next, budget)
            if info is None:
                break
            archive.members = []  # type: ignore[attr-defined]  # or all would be remembered
            if info.issparse():
                raise BadArchiveError(
                    f"{budget.called} holds a sparse file: pack it without `--sparse`."
                )
            budget.add_entry(info.size)
            source.begin_content()
            if info.isreg():
                yield _TarMember(archive, info, budget)
    finally:
        if archive is not None:
            archive.close()


def _open(source: "_Forwards") -> tarfile.TarFile | None:
    source.begin_header()
    if not source.peek(_HEAD_BYTES).strip(b"\0"):
        return None
    return tarfile.TarFile(
        fileobj=cast("BinaryIO", source), mode="r", tarinfo=_Checked, errors="surrogateescape"
    )


def _guarded(do: Callable[[], _T], budget: Budget) -> _T:
    """Replace errors about damage by our own."""
    try:
        return do()
    except PermafrostError:
        raise
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's own fault
        raise BadArchiveError(
            f"{budget.called} is damaged or cut off: what it says of its files cannot be read."
        ) from None


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Forwards:
    """What `tarfile` reads from: only forwards, and counted.

    An archive that is not compressed is passed over without being read.
    """

    def __init__(self, stream: BinaryIO, budget: Budget) -> None:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        compressed = is_compressed(stream.read(8))
        stream.seek(0)
        self.budget = budget
        self.global_headers = 0
        self._raw: BinaryIO | None = None if compressed else stream
        self._source: _Readable = Decompressed(stream, budget) if compressed else stream
        self._size = size
        self._peeked = b""
        self._place = 0
        self._header_left = 0
        self._headers_left = budget.limits.header_bytes
        # Sizes are counted as headers name them; this is for what comes out all the same.
        self._bytes_left = budget.limits.unpacked_bytes + self._headers_left + 1024 * 1024
        self._in_header = True

    def begin_header(self) -> None:
        """From here on what is read is said about a member."""
        self._header_left = _MOST_HEADER_BYTES
        self._in_header = True

    def begin_content(self) -> None:
        """From here on what is read is a member's content."""
        self._in_header = False

    def peek(self, size: int) -> bytes:
        """Return the next bytes, which are read again after."""
        while len(self._peeked) < size:
            piece = self._source.read(size - len(self._peeked))
            if not piece:
                break
            self._peeked += piece
        return self._peeked[:size]

    def read(self, size: int = -1) -> bytes:
        if size < 0 or (self._in_header and size > self._header_left):
            raise BadArchiveError(f"{self.budget.called} is damaged: a name in it has no end.")
        pieces = []
        while size > 0:
            if self._peeked:
                piece, self._peeked = self._peeked[:size], self._peeked[size:]
            else:
                piece = self._source.read(size)
            if not piece:
                break
            self._count(len(piece))
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < self._place:
            raise BadArchiveError(f"{self.budget.called} is damaged: files in it overlap.")
        self._in_header, before = False, self._in_header
        if self._raw is not None and not self._peeked:
            if offset > self._size:
                raise BadArchiveError(f"{self.budget.called} is damaged or cut off: send it whole.")
            self._raw.seek(offset)
            self._place = offset
        while self._place < offset and self.read(min(_PIECE_BYTES, offset - self._place)):
            pass
        self._in_header = before
        return self._place

    def tell(self) -> int:
        return self._place

    def _count(self, size: int) -> None:
        self._place += size
        if self._raw is None:
            self._bytes_left -= size
        if self._in_header:
            self._header_left -= size
            self._headers_left -= size
        if self._headers_left < 0:
            raise self.budget.too_many()
        if self._bytes_left < 0:
            raise self.budget.too_large()


class _BrokenHeaderError(ValueError):
    """A header is none; tarfile would take it for the end of the archive."""


class _Checked(tarfile.TarInfo):
    """A header that is checked before `tarfile` uses it."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> "_Checked":
        """Return what a header's bytes say, as `tarfile.TarInfo` does."""
        if not any(buf) and len(buf) == _HEAD_BYTES:
            return super().frombuf(buf, encoding, errors)  # the end, as an error of tarfile's own
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError:
            raise _BrokenHeaderError from None

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        # The method that tarfile says is to be overridden for what is done with a kind of member.
        source = cast("_Forwards", archive.fileobj)
        called = source.budget.called
        if self.size < 0:
            raise BadArchiveError(f"{called} is damaged: a file in it has a size below nothing.")
        if self.type in _PAX or self.type in _GNU_LONG:
            most = _MOST_EXTENDED_BYTES
            if self.type == tarfile.XGLTYPE:
                most = _MOST_GLOBAL_BYTES
                source.global_headers += 1
            if self.size > most or source.global_headers > _MOST_GLOBAL:
                raise BadArchiveError(
                    f"{called} says more about one of its files than is accepted "
                    f"({binary_size(_MOST_EXTENDED_BYTES)}): pack it without attributes, and with "
                    "shorter names."
                )
            if self.type in _PAX and _LONG_NUMBER.search(source.peek(self.size)):
                raise BadArchiveError(f"{called} is damaged: a number in it has no end.")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]  # not in typeshed


class _TarMember(ArchiveMember):
    """A member that stands where the archive is read."""

    def __init__(self, archive: tarfile.TarFile, info: tarfile.TarInfo, budget: Budget) -> None:
        super().__init__(info.name.encode("utf-8", "surrogateescape"))
        self._budget = budget
        self._file = _guarded(lambda: archive.extractfile(info), budget)

    def read(self, size: int) -> bytes:
        file = self._file
        return b"" if file is None else _guarded(lambda: file.read(size), self._budget)
