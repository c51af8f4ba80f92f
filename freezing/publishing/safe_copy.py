"""Taking a file out of a folder that somebody else could write to."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from freezing.running.child_events import UnsoundReportError

MOST_BYTES = 2**31 + 2**20  # a protocol buffer holds no more than 2 GiB
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A copy of a file, of which nobody else has the original's right to write."""

    path: Path
    bytes: int
    sha256: str


def take(source: Path, target: Path) -> Taken:
    """Copy a file; raise `UnsoundReportError` where it is none, a link, or larger than any model.

    What the copy holds is hashed while it is written.
    """
    try:
        # A pipe without a writer would have this wait for one.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(source, flags)
    except OSError as error:
        raise UnsoundReportError(
            f"left no file {source.name} that can be opened ({error.strerror})"
        ) from error
    with os.fdopen(descriptor, "rb") as reader:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise UnsoundReportError(f"left something else than a file of its own as {source.name}")
        if found.st_size > MOST_BYTES:
            raise UnsoundReportError(f"left a file {source.name} that is larger than any model")
        digest, size = hashlib.sha256(), 0
        with target.open("xb") as writer:
            while chunk := reader.read(min(_COPY_BYTES, MOST_BYTES - size)):
                digest.update(chunk)
                size += len(chunk)
                writer.write(chunk)
    return Taken(path=target, bytes=size, sha256=digest.hexdigest())
