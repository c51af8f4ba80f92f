"""A multipart form of images, made so that sending it costs next to nothing.

httpx would write each file in three pieces; one piece per request takes a tenth of the time.
"""

import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from api.client.uploads import opened

_PLAIN = re.compile(r"[A-Za-z0-9_ ./()+-]+")  # names that need no escapes between quotes
_CHUNK_BYTES = 64 * 1024


class ImageForm:
    """Images for a batch: any number from memory, then perhaps one that is read while it is sent.

    Names may hold whatever UTF-8 can: quotes, line feeds and the like travel as RFC 8187 says,
    because between quotes servers and browsers disagree on how to escape them.
    """

    def __init__(self) -> None:
        self._boundary = uuid.uuid4().hex
        self._pieces: list[bytes] = []
        self._large: Path | None = None
        self.count = 0

    def add(self, name: str, content: bytes) -> None:
        """Add an image that is in memory."""
        self._pieces += (self._head(name), content, b"\r\n")
        self.count += 1

    def add_file(self, name: str, path: Path) -> None:
        """Add an image that is too large for memory; nothing may be added after it."""
        self._pieces.append(self._head(name))
        self._large = path
        self.count += 1

    def headers(self) -> dict[str, str]:
        """Return the headers that describe the body."""
        return {"Content-Type": f"multipart/form-data; boundary={self._boundary}"}

    def body(self) -> bytes | Iterable[bytes]:
        """Return the body; it can be read again for another attempt."""
        start = b"".join(self._pieces)
        end = f"--{self._boundary}--\r\n".encode()
        return start + end if self._large is None else _Streamed(start, self._large, b"\r\n" + end)

    def _head(self, name: str) -> bytes:
        if _PLAIN.fullmatch(name):
            written = f'filename="{name}"'
        else:
            written = f"filename*=UTF-8''{quote(name, safe='')}"
        return (
            f"--{self._boundary}\r\n"
            f'Content-Disposition: form-data; name="images"; {written}\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()


class _Streamed:
    """A body that is read from the disk while it is sent, and again with every attempt."""

    def __init__(self, start: bytes, path: Path, end: bytes) -> None:
        self._start, self._path, self._end = start, path, end

    def __iter__(self) -> Iterator[bytes]:
        with opened(self._path) as file:
            yield self._start
            yield from _chunks(file)
        yield self._end


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
