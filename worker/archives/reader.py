"""The one reader of archives, for batches and models: files as bounded streams, in their order."""

import os
from collections.abc import Iterator
from typing import BinaryIO

from worker.archives.decompression import is_compressed
from worker.archives.limits import ArchiveLimits, Budget
from worker.archives.member import ArchiveMember, check_path
from worker.archives.tars import is_tar_head, tar_members
from worker.archives.zips import zip_members
from worker.errors import BadArchiveError, UnsupportedMediaError

__all__ = ["ArchiveMember", "examine", "is_tar", "is_zip", "members"]

HEAD_BYTES = 512  # by which an archive is recognised
_EXAMINED_BYTES = 64 * 1024 * 1024  # of what a tar unpacks to, before its job is accepted


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a zip archive."""
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def is_tar(head: bytes) -> bool:
    """Whether a file that begins so (512 bytes) is a tar archive or compressed as one may be."""
    return is_compressed(head) or is_tar_head(head)


def members(
    stream: BinaryIO, limits: ArchiveLimits, called: str = "The archive"
) -> Iterator[ArchiveMember]:
    """Give the files of a zip or tar archive in their order, without folders, links and devices.

    Each is to be read before the next one is asked for. A tar may be compressed with gzip, bzip2 or
    xz. The memory that this takes does not depend on the archive, the time only on the bytes that
    come out. `called` is how sentences about the archive begin.

    Raises `UnsupportedMediaError` for anything else and for methods of compression that are not
    read, `BadArchiveError` where the archive is damaged, encrypted or empty, and
    `ArchiveTooLargeError` past a limit, some of these only when that place is reached.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    budget = Budget(limits, size, called)
    budget.check_size()
    if is_zip(head):
        found = zip_members(stream, budget)
    elif is_tar(head):
        found = tar_members(stream, budget)
    else:
        raise UnsupportedMediaError(f"{called} is not a zip, tar or tar.gz file.")
    empty = True
    for member in found:
        check_path(member.path, called)
        empty = False
        yield member
    if empty:
        raise BadArchiveError(f"{called} is empty: there is no file in it.")


def examine(stream: BinaryIO, limits: ArchiveLimits, called: str = "The archive") -> None:
    """Raise what `members` would, as far as that is found out at little cost.

    Of a zip the whole directory is read, of a tar the first 64 MiB.
    """
    seen = 0
    for member in members(stream, limits, called):
        if not member.in_order:
            break
        while seen <= _EXAMINED_BYTES and (piece := member.read(256 * 1024)):
            seen += len(piece)
        if seen > _EXAMINED_BYTES:
            break
    stream.seek(0)
