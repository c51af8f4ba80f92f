"""Writing files so that they survive a loss of power."""

import errno
import hashlib
import os
from pathlib import Path

_COPY_BYTES = 1 << 20
# What links are refused with: another file system, none for this user, none at all, too many.
_NO_LINKS = frozenset(
    {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
)


def copy_durably(source: Path, target: Path) -> tuple[str, int]:
    """Copy a file and return its SHA-256 in hexadecimal and its size in bytes."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_COPY_BYTES):
            digest.update(chunk)
            size += len(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest(), size


def link_durably(source: Path, target: Path) -> tuple[str, int]:
    """Give a file that is durable and never changes a second name, as `copy_durably` would.

    It is copied where the file system cannot link it.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return copy_durably(source, target)
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()


def write_durably(path: Path, content: bytes) -> None:
    """Write a file; its folder is not synced yet."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
