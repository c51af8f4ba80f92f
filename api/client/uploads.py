"""Files on their way to a server: streamed from disk, and again if an attempt fails."""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from worker.errors import InvalidRequestError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")  # sent whole and unpacked by the server

_CHUNK_BYTES = 64 * 1024


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


class Body:
    """A request's body that is one file, read from its beginning again with every attempt.

    It has no `read`, because httpx would prefer that and then could not start again.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def fileno(self) -> int:
        """Let httpx ask for the size, which becomes the Content-Length."""
        return self._file.fileno()

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk


class _Counted:
    """An open file that tells how much of it was read, and takes it back on starting again."""

    def __init__(self, file: IO[bytes], on_sent: Callable[[int], None]) -> None:
        self._file = file
        self._on_sent = on_sent
        self._sent = 0

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int) -> int:
        if self._sent:
            self._on_sent(-self._sent)
            self._sent = 0
        return self._file.seek(offset)

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self._sent += len(chunk)
        self._on_sent(len(chunk))
        return chunk


@contextlib.contextmanager
def multipart(
    files: Iterable[LocalFile],
    options: dict[str, Any] | None,
    on_sent: Callable[[int], None] | None,
    *,
    field: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Open the files and give httpx's arguments for a form that streams them.

    `field`: what all are called in it, where they are no source.
    """
    files = list(files)
    source = [file for file in files if file.is_of_source]
    alone = len(source) == 1 and source[0].name.lower().endswith(ARCHIVE_SUFFIXES)
    with contextlib.ExitStack() as stack:
        parts = []
        for file in files:
            body: bytes | _Counted | None = file.content
            if body is None:
                body = _Counted(stack.enter_context(opened(file.path)), on_sent or (lambda _: None))
            called = field or ("archive" if alone else "files")
            if not file.is_of_source:
                called = "samples" if file.is_sample else "examples"
            parts.append((called, (sendable(file.name), body, "application/octet-stream")))
        form = {} if options is None else {"options": json_bytes(options)}
        yield {"files": parts, "data": form}


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading; raise `InvalidRequestError` where that is not possible."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidRequestError(
            f"{sendable(str(path))} cannot be read: {error.strerror or error}."
        ) from error
    with file:
        yield file


def json_bytes(document: dict[str, Any]) -> bytes:
    """Return a JSON document in UTF-8, whatever a terminal put into its strings."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def sendable(name: str) -> str:
    """Return `name` with what is not UTF-8 in it replaced, as headers and terminals need it."""
    return os.fsencode(name).decode("utf-8", "replace")
