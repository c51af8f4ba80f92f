"""Unpacking archives that hold models. Imports no TensorFlow.

What an archive says of itself is not believed: names must stay below the folder, only files and
folders are made, and bytes are counted as they come out, not as the archive promises them.
"""

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from freezing.sources.contents import Content, sniff
from worker.errors import SourceError
from worker.images.archives import DAMAGE, is_link, is_tar, is_zip, stored_name

_CHUNK_BYTES = 1024 * 1024
_LARGEST_READ = 16 * _CHUNK_BYTES  # of what a tar says about its members, at once
_HEADS_BYTES = 64 * _CHUNK_BYTES  # of a tar that are no content
_LONGEST_NAME = 255  # bytes between two '/', as file systems allow
_DEEPEST = 32  # folders
_LEFT_OUT = "__MACOSX"  # what macOS adds of its own

_Member = tuple[str, Callable[[], AbstractContextManager[IO[bytes]] | None]]


class ArchiveTooLargeError(SourceError):
    """An archive unpacks to more than is allowed."""

    code = "archive_too_large"


def unpacked(source: Path, folder: Path, *, most_bytes: int, most_files: int) -> Path:
    """Return `source`; where it is an archive, or a folder of nothing else, what that unpacks to.

    That is written below `folder`, which must not be there. Links and devices are left out. Raises
    `SourceError` where the archive is damaged or encrypted or a name would lead out of the folder,
    and `ArchiveTooLargeError` past `most_bytes` or `most_files`.
    """
    archive = _archive(source)
    if archive is None:
        return source
    folder.mkdir()
    bytes_left, files = most_bytes, 0
    with archive.open("rb") as stream:
        try:
            for name, opened in _members(stream, archive.name, most_bytes):
                path = _place(folder, name, archive.name)
                if path is None:
                    continue
                files += 1
                if files > most_files:
                    raise ArchiveTooLargeError(
                        f"'{archive.name}' holds more than {most_files:,} files."
                    )
                file = opened()
                if file is not None:
                    bytes_left -= _write(file, path, bytes_left, archive.name, most_bytes)
        except _NAMES_THAT_CLASH:
            raise SourceError(f"'{archive.name}' holds a name as a file and as a folder.") from None
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's own fault
            reason = str(error).rstrip(".")[:200] or type(error).__name__
            raise SourceError(f"'{archive.name}' is damaged: {reason}.") from error
    return folder


_NAMES_THAT_CLASH = (FileExistsError, NotADirectoryError, IsADirectoryError)


def _archive(source: Path) -> Path | None:
    """Return the archive that the source is, or the only file of the folder that it is."""
    if source.is_dir():
        entries = list(source.iterdir())
        if len(entries) != 1:
            return None
        source = entries[0]
    return source if source.is_file() and sniff(source) is Content.ARCHIVE else None


def _members(stream: BinaryIO, called: str, most_bytes: int) -> Iterator[_Member]:
    """Give name and a way to open each file of the archive, links and devices left out."""
    head = stream.read(512)
    stream.seek(0)
    if is_zip(head):
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                if member.flag_bits & 0x1:
                    raise SourceError(f"'{called}' is encrypted: send it without a password.")
                if not member.is_dir() and not is_link(member):
                    name = stored_name(member).decode("utf-8", "replace")
                    yield name, lambda member=member: archive.open(member)  # type: ignore[misc]
    elif is_tar(head):
        bounded = cast("BinaryIO", _Bounded(_decompressed(stream, head), called, most_bytes))
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # or all would be remembered
                if info.isreg():
                    yield info.name, lambda info=info: tar.extractfile(info)  # type: ignore[misc]


def _decompressed(stream: BinaryIO, head: bytes) -> BinaryIO:
    if head.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.open(stream))
    if head.startswith(b"BZh"):
        return cast("BinaryIO", bz2.open(stream))
    return cast("BinaryIO", lzma.open(stream)) if head.startswith(b"\xfd7zXZ\0") else stream


class _Bounded:
    """A tar's bytes as `tarfile` reads them: no piece larger than a head needs, and not for ever.

    It reads names of any length into memory, and passes over what it does not give by reading it.
    """

    def __init__(self, stream: BinaryIO, called: str, most_bytes: int) -> None:
        self._stream = stream
        self._called = called
        self._most = most_bytes
        self._end = most_bytes + _HEADS_BYTES

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise SourceError(f"'{self._called}' is damaged: a name in it has no end.")
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check(offset if whence == os.SEEK_SET else 0)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, place: int) -> None:
        if place > self._end:
            raise ArchiveTooLargeError(
                f"'{self._called}' unpacks to more than {self._most / 2**20:g} MiB, which is the "
                "limit."
            )


def _place(folder: Path, name: str, called: str) -> Path | None:
    """Return where the member is written; None where it is left out."""
    path = PurePosixPath(name.replace("\\", "/"))
    if (
        path.is_absolute()
        or ".." in path.parts
        or not path.name
        or "\0" in name
        or path.parts[0].endswith(":")
        or len(path.parts) > _DEEPEST
        or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts)
    ):
        raise SourceError(
            f"'{called}' holds the name '{name[:80]}', which is none of a file inside a folder."
        )
    if path.parts[0] == _LEFT_OUT or path.name.startswith("._"):
        return None
    return folder / path


def _write(
    file: AbstractContextManager[IO[bytes]], path: Path, bytes_left: int, called: str, most: int
) -> int:
    """Write the member and return its size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with file as content, path.open("xb") as written:
        while chunk := content.read(_CHUNK_BYTES):
            count += len(chunk)
            if count > bytes_left:
                raise ArchiveTooLargeError(
                    f"'{called}' unpacks to more than {most / 2**20:g} MiB, which is the limit."
                )
            written.write(chunk)
    return count
