"""Reading images out of an uploaded archive, one at a time, without unpacking it to disk."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from worker.errors import (
    ImageError,
    ImageFileTooLargeError,
    InvalidRequestError,
    UnsupportedMediaError,
)

# What zipfile, tarfile and the decompressors below them raise on damaged archives, and on those
# made to damage: tarfile converts numbers, zipfile unpacks structures, both compute with them.
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    IndexError,
    KeyError,
    RuntimeError,  # zipfile's word for an encrypted member
    NotImplementedError,  # and for a compression method that it does not know
)
_ENCRYPTED = 0x1  # of a zip member's flags
_LINK = 0xA000  # of a zip member's Unix file type: a symbolic link
_FILE_TYPE = 0xF000
_UTF_8 = 0x800  # of a zip member's flags: its name is in UTF-8


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive."""

    path: bytes  # only a name: nothing is ever written under it
    content: bytes | None  # None where it cannot be had
    problem: dict[str, str] | None = None  # code and message, where it cannot


def members(stream: BinaryIO, *, most_bytes: int, most_members: int) -> Iterator[Member]:
    """Give the files of a zip or tar archive in their order, without folders and links.

    A tar may be compressed with gzip, bzip2 or xz. No member is read past `most_bytes`. Raises
    `UnsupportedMediaError` for anything else and `InvalidRequestError` where the archive is damaged
    or holds more than `most_members` entries.
    """
    head = stream.read(512)
    stream.seek(0)
    try:
        if is_zip(head):
            yield from _zip(stream, most_bytes, most_members)
        elif is_tar(head):
            yield from _tar(stream, most_bytes, most_members)
        else:
            raise UnsupportedMediaError("The archive is not a zip, tar or tar.gz file.")
    except DAMAGE as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise InvalidRequestError(f"The archive is damaged: {reason}.") from None


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a zip archive."""
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def is_tar(head: bytes) -> bool:
    """Whether a file that begins so (512 bytes) is a tar archive or compressed as one may be."""
    compressed = head[:2] == b"\x1f\x8b" or head[:3] == b"BZh" or head[:6] == b"\xfd7zXZ\x00"
    return compressed or head[257:262] == b"ustar"


def _refuse(most: int) -> InvalidRequestError:
    return InvalidRequestError(f"The archive holds more than {most:,} entries: send it in parts.")


def _zip(stream: BinaryIO, most_bytes: int, most_members: int) -> Iterator[Member]:
    with zipfile.ZipFile(stream) as archive:
        if len(archive.infolist()) > most_members:
            raise _refuse(most_members)
        for info in archive.infolist():
            if info.is_dir() or is_link(info):
                continue
            yield _zip_member(archive, info, most_bytes)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most_bytes: int) -> Member:
    """Read one member. A damaged one costs one row; the others can still be read."""
    path = stored_name(info)
    if info.flag_bits & _ENCRYPTED:
        return _without(path, ImageError.code, "The file is encrypted in its archive.")
    try:
        with archive.open(info) as file:
            return _member(path, file.read(most_bytes + 1), most_bytes)
    except DAMAGE as error:
        reason = str(error).rstrip(".") or type(error).__name__
        message = f"The file is damaged in its archive: {reason[:200]}."
        return _without(path, ImageError.code, message)


def is_link(info: zipfile.ZipInfo) -> bool:
    """Whether a zip's member is a symbolic link."""
    return (info.external_attr >> 16) & _FILE_TYPE == _LINK


def stored_name(info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a zip member's name.

    zipfile reads names that are not marked as UTF-8 in the code page of the first PCs, though most
    programs that leave out the mark write bytes as they are.
    """
    return info.filename.encode("utf-8" if info.flag_bits & _UTF_8 else "cp437", "replace")


def _tar(stream: BinaryIO, most_bytes: int, most_members: int) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r:*") as archive:
        count = 0
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # or all would be remembered
            count += 1
            if count > most_members:
                raise _refuse(most_members)
            if not info.isreg():
                continue
            file = archive.extractfile(info)
            if file is not None:
                path = info.name.encode("utf-8", "surrogateescape")
                yield _member(path, file.read(most_bytes + 1), most_bytes)


def _member(path: bytes, content: bytes, most_bytes: int) -> Member:
    if len(content) > most_bytes:
        message = f"The file is larger than one image may be ({most_bytes / 2**20:.1f} MiB)."
        return _without(path, ImageFileTooLargeError.code, message)
    return Member(path=path, content=content)


def _without(path: bytes, code: str, message: str) -> Member:
    return Member(path=path, content=None, problem={"code": code, "message": message})
