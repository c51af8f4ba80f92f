"""Files that are sent to a server."""

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from worker.errors import InvalidRequestError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")  # sent whole and unpacked by the server


@dataclass(frozen=True, kw_only=True)
class LocalFile:
    """A file of this machine that is sent as part of a source, or as a picture beside it."""

    path: Path
    name: str  # relative to the source, with `/` between its parts
    is_sample: bool = False  # an image to verify with
    # A picture whose label is known: its folder in `name`. Also a table of such pictures (CSV), or
    # one archive of either.
    is_example: bool = False
    content: bytes | None = None  # what is sent instead of what lies at `path`

    @property
    def is_of_source(self) -> bool:
        """Whether it is a part of the source itself."""
        return not (self.is_sample or self.is_example)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading; raise `InvalidRequestError` where that is not possible."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        yield file


def size_of(path: Path) -> int:
    """Return the bytes of a file; raise `InvalidRequestError` where there is none."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise InvalidRequestError(f"{sendable(str(path))} is not a file.")
    return found.st_size


def _unreadable(path: Path, error: OSError) -> InvalidRequestError:
    return InvalidRequestError(f"{sendable(str(path))} cannot be read: {error.strerror or error}.")


def json_bytes(document: dict[str, Any]) -> bytes:
    """Return a JSON document in UTF-8, whatever a terminal put into its strings."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def sendable(name: str) -> str:
    """Return `name` with what is not UTF-8 in it replaced, as headers and terminals need it."""
    return os.fsencode(name).decode("utf-8", "replace")


def path_text(path: str) -> str:
    r"""Return a path as text that any encoder takes; bytes that are not UTF-8 become `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
