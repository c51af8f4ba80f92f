"""Multipart requests read as they arrive, so that memory does not grow with them.

Flask's own form parser holds every small file of a request in memory until the view runs, which for
ten thousand photographs is all of them, and refuses a request in which one file name is not UTF-8.
Format: RFC 7578, with file names as browsers and HTTP libraries write them.
"""

import io
import re
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol, cast
from urllib.parse import unquote_to_bytes

from flask import request

from worker.errors import InvalidRequestError

_READ_BYTES = 64 * 1024
_MOST_HEAD_BYTES = 16 * 1024  # of one part
_MOST_FIELD_BYTES = 1024 * 1024
_IN_MEMORY_BYTES = 1024 * 1024  # of a file that is spooled; the rest goes to the disk

_PARAMETER = re.compile(rb';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)', re.DOTALL)
# What the HTML standard and HTTP libraries escape in a file name: quotes and control characters.
_ESCAPED = re.compile(rb"%(0[0-9A-Fa-f]|1[0-9A-Fa-f]|22)")


class FormField(NamedTuple):
    """A field that is no file."""

    name: str
    value: str


class FormFile(NamedTuple):
    """A file; `stream` is at its beginning and closed after the next part is asked for."""

    name: str
    filename: bytes  # as the client spells it, which need not be UTF-8
    stream: BinaryIO


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


def request_parts(*, most_bytes: int, whole: frozenset[str]) -> Iterator[FormField | FormFile]:
    """Give the parts of Flask's request, as `parts` does."""
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary:
        raise InvalidRequestError("The multipart request names no boundary.")
    stream = cast("BinaryIO", request.stream)
    return parts(stream, boundary.encode("latin-1", "replace"), most_bytes=most_bytes, whole=whole)


def parts(
    stream: BinaryIO, boundary: bytes, *, most_bytes: int, whole: frozenset[str]
) -> Iterator[FormField | FormFile]:
    """Give the parts of a multipart body in their order.

    Of a file one byte more than `most_bytes` is kept, which tells that it is larger, unless its
    field is one of `whole`. Raises `InvalidRequestError` if the body is damaged or cut off.
    """
    reader = _Reader(stream, boundary)
    reader.skip_to_boundary()
    while reader.has_part():
        name, filename = _disposition(reader.head())
        if filename is None:
            value = io.BytesIO()
            reader.copy_part(_First(value, _MOST_FIELD_BYTES + 1))
            if value.tell() > _MOST_FIELD_BYTES:
                raise InvalidRequestError(f"The form field '{name[:80]}' is too long.")
            yield FormField(name, value.getvalue().decode(errors="replace"))
            continue
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as spool:
            reader.copy_part(spool if name in whole else _First(spool, most_bytes + 1))
            spool.seek(0)
            yield FormFile(name, filename, cast("BinaryIO", spool))


class _First:
    """Passes on the first bytes of what is written."""

    def __init__(self, sink: _Sink, most: int) -> None:
        self._sink = sink
        self._left = most

    def write(self, data: bytes, /) -> None:
        if self._left > 0:
            self._sink.write(data[: self._left])
            self._left -= len(data)


class _Reader:
    """Takes a body apart at its boundaries; holds two reads' worth of it."""

    def __init__(self, stream: BinaryIO, boundary: bytes) -> None:
        self._stream = stream
        self._delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # so that a boundary at the very beginning is one

    def skip_to_boundary(self) -> None:
        """Pass over what stands before the first part."""
        self.copy_part(_First(io.BytesIO(), 0))

    def has_part(self) -> bool:
        """After a boundary: whether another part follows."""
        while len(self._buffer) < 2:
            self._fill()
        if self._buffer.startswith(b"--"):
            while self._stream.read(_READ_BYTES):  # what follows the last boundary means nothing
                pass
            return False
        return True

    def head(self) -> bytes:
        """Return the header lines of a part, and stand before its content."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MOST_HEAD_BYTES:
                raise InvalidRequestError("The multipart request has a part with too long a head.")
            self._fill()
        head = bytes(self._buffer[:end])
        # The last line break stays: it belongs to the delimiter of a part without content.
        del self._buffer[: end + 2]
        return head

    def copy_part(self, sink: _Sink) -> None:
        """Copy up to the next boundary and stand behind that."""
        start = 2  # the line break before the content is no part of it, unless of the delimiter
        searched = 0
        while (end := self._buffer.find(self._delimiter, searched)) < 0:
            keep = len(self._delimiter) - 1
            if len(self._buffer) > keep + start:
                sink.write(bytes(self._buffer[start:-keep]))
                del self._buffer[:-keep]
                start = 0
            searched = max(0, len(self._buffer) - keep)
            self._fill()
        if end > start:
            sink.write(bytes(self._buffer[start:end]))
        del self._buffer[: end + len(self._delimiter)]

    def _fill(self) -> None:
        data = self._stream.read(_READ_BYTES)
        if not data:
            raise InvalidRequestError("The multipart request is damaged or was cut off.")
        self._buffer += data


def _disposition(head: bytes) -> tuple[str, bytes | None]:
    """Return the name of a part's field and, of a file, its name."""
    for line in re.sub(rb"\r\n[ \t]+", b" ", head).split(b"\r\n"):
        header, _, value = line.partition(b":")
        if header.strip().lower() == b"content-disposition":
            found = {key.lower(): _unquoted(text) for key, text in _PARAMETER.findall(b";" + value)}
            if b"name" in found:
                return found[b"name"].decode(errors="replace"), _filename(found)
    raise InvalidRequestError("A part of the multipart request has no name.")


def _unquoted(text: bytes) -> bytes:
    if text[:1] != b'"':
        return text
    return re.sub(rb'\\(["\\])', rb"\1", text[1:-1])


def _filename(parameters: dict[bytes, bytes]) -> bytes | None:
    exact = parameters.get(b"filename*")  # RFC 8187: charset'language'percent-encoded
    if exact is not None and exact.count(b"'") >= 2:
        return unquote_to_bytes(exact.split(b"'", 2)[2])
    name = parameters.get(b"filename")
    if name is None:
        return None
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), name)
