"""Reading images out of an uploaded archive, one at a time, without unpacking it to disk."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from worker.errors import InvalidRequestError, UnsupportedMediaError

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,  # zipfile's word for an encrypted member
    NotImplementedError,  # and for a compression method that it does not know
)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive."""

    path: str
    content: bytes | None  # None where it is larger than the limit
    problem: str | None = None  # why it cannot be read, where it cannot


def members(stream: BinaryIO, *, most_bytes: int, most_members: int) -> Iterator[Member]:
    """Give the files of a zip, tar or tar.gz archive in their order, without folders and links.

    No member is read past `most_bytes`, so one that unpacks to gigabytes costs nothing. Raises
    `UnsupportedMediaError` for anything else and `InvalidRequestError` where the archive is damaged
    or holds more than `most_members` files.
    """
    head = stream.read(512)
    stream.seek(0)
    try:
        if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            yield from _bounded(_zip(stream, most_bytes), most_members)
        elif head[:2] == b"\x1f\x8b" or head[:3] == b"BZh" or head[257:262] == b"ustar":
            yield from _bounded(_tar(stream, most_bytes), most_members)
        else:
            raise UnsupportedMediaError("The archive is not a zip, tar or tar.gz file.")
    except _DAMAGE as error:
        raise InvalidRequestError(f"The archive is damaged: {error}.") from None


def _bounded(found: Iterator[Member], most: int) -> Iterator[Member]:
    for count, member in enumerate(found, 1):
        if count > most:
            raise InvalidRequestError(f"The archive holds more than {most:,} files.")
        yield member


def _zip(stream: BinaryIO, most_bytes: int) -> Iterator[Member]:
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            try:
                with archive.open(info) as file:
                    content = file.read(most_bytes + 1)
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
                # One damaged member costs one row; the others can still be read.
                yield Member(path=info.filename, content=None, problem=str(error))
                continue
            yield _member(info.filename, content, most_bytes)


def _tar(stream: BinaryIO, most_bytes: int) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r:*") as archive:
        for info in archive:
            if not info.isreg():
                continue
            file = archive.extractfile(info)
            if file is not None:
                yield _member(info.name, file.read(most_bytes + 1), most_bytes)


def _member(path: str, content: bytes, most_bytes: int) -> Member:
    if len(content) > most_bytes:
        return Member(path=path, content=None, problem="It is larger than one image may be.")
    return Member(path=path, content=content)
