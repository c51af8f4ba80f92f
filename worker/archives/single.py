"""A file that is compressed by itself, as `model.pb.gz`: unpacked a bounded piece at a time."""

import os
from collections.abc import Iterator
from typing import BinaryIO

from worker.archives.decompression import Decompressed, is_compressed
from worker.archives.limits import ArchiveLimits, Budget
from worker.archives.tars import is_tar_head
from worker.errors import PermafrostError

_PIECE_BYTES = 256 * 1024
_TAR_HEAD_BYTES = 512
_NO_LIMITS = ArchiveLimits(entries=1, unpacked_bytes=2**30, ratio=2**30)  # a few bytes are read


def is_compressed_file(stream: BinaryIO) -> bool:
    """Whether the stream is compressed, and what it holds is no tar archive.

    A damaged one counts as an archive, whose reader says what is wrong with it.
    """
    stream.seek(0)
    if not is_compressed(stream.read(8)):
        return False
    try:
        head = first_unpacked(stream, _TAR_HEAD_BYTES)
    except PermafrostError:
        return False
    return bool(head) and not is_tar_head(head)


def first_unpacked(stream: BinaryIO, size: int) -> bytes:
    """Return the first `size` bytes that a compressed stream unpacks to."""
    stream.seek(0)
    source, found = Decompressed(stream, Budget(_NO_LIMITS, 1, "The file")), b""
    while len(found) < size and (piece := source.read(size - len(found))):
        found += piece
    return found


def unpacked_pieces(stream: BinaryIO, limits: ArchiveLimits, called: str) -> Iterator[bytes]:
    """Give what a compressed stream unpacks to, in order.

    Raises `BadArchiveError` where it is damaged and `ArchiveTooLargeError` past a limit.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    budget = Budget(limits, size, called)
    source = Decompressed(stream, budget)
    budget.add_entry(0)
    while piece := source.read(_PIECE_BYTES):
        budget.add_bytes(len(piece))
        yield piece
