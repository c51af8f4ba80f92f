"""Reads multipart requests as they arrive, so that they never lie in memory whole.

Flask's own form parser holds every small file of a request in memory until the view runs, which for
ten thousand photographs is all of them, and refuses a request in which one file name is not UTF-8.
Bodies are taken apart by `multipart`'s push parser, which takes CRLF for a line's end and nothing
else, bounds what it holds, and leaves headers as they came; werkzeug's holds less to the format and
wants UTF-8. Format: RFC 7578, with file names as browsers and HTTP libraries write them.
"""

import io
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, Protocol, cast
from urllib.parse import unquote_to_bytes

from flask import request
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)
from werkzeug.http import parse_options_header

from worker.errors import ArchiveTooLargeError, InvalidRequestError
from worker.formatting import binary_size

_READ_BYTES = 64 * 1024
_MOST_HEAD_BYTES = 16 * 1024  # of the head of one part
_MOST_FIELD_BYTES = 1024 * 1024
_IN_MEMORY_BYTES = 1024 * 1024  # of a file that is spooled; the rest goes to the disk

_MOST_HEADERS = 16  # of one part
# Heads that every reader understands alike.
_PLAIN = re.compile(r'form-data; name="[^"\\%]+"(?:; filename="[^"\\%]+")?')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BACKSLASH = re.compile(r'\\(["\\])|\\')
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_EXACT = re.compile(r";[ \t]*filename\*[ \t]*=[ \t]*([^;\s]+)", re.IGNORECASE)  # RFC 8187
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


def request_parts(
    stream: BinaryIO,
    *,
    most_bytes: int,
    whole: frozenset[str] = frozenset(),
    most_whole: int = sys.maxsize,
) -> Iterator[FormField | FormFile]:
    """Give the parts of the body of Flask's request, as `parts` does."""
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary:
        raise InvalidRequestError("The multipart request names no boundary.")
    return parts(
        stream,
        boundary.encode("latin-1", "replace"),
        most_bytes=most_bytes,
        whole=whole,
        most_whole=most_whole,
    )


def parts(
    stream: BinaryIO,
    boundary: bytes,
    *,
    most_bytes: int,
    whole: frozenset[str],
    most_whole: int = sys.maxsize,
) -> Iterator[FormField | FormFile]:
    """Give the parts of a multipart body in their order.

    Of a file one byte more than `most_bytes` is kept, which tells that it is larger, unless its
    field is one of `whole`; that may be `most_whole` bytes. Raises `InvalidRequestError` if the
    body is damaged or cut off, or can be read in two ways, and `ArchiveTooLargeError`.
    """
    reader = _PartReader(stream, boundary)
    for segment in reader.segments():
        name, filename = _disposition(segment)
        if filename is None:
            value = io.BytesIO()
            reader.copy(_Truncated(value, _MOST_FIELD_BYTES + 1))
            if value.tell() > _MOST_FIELD_BYTES:
                raise InvalidRequestError(f"The form field '{name[:80]}' is too long.")
            yield FormField(name, value.getvalue().decode(errors="replace"))
            continue
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as spool:
            reader.copy(_Truncated(spool, (most_whole if name in whole else most_bytes) + 1))
            if name in whole and spool.tell() > most_whole:
                raise ArchiveTooLargeError(
                    f"The archive is larger than {binary_size(most_whole)}, which is the limit: "
                    "send it in parts."
                )
            spool.seek(0)
            yield FormFile(name, filename, cast("BinaryIO", spool))


class _Truncated:
    """Passes on the first bytes that are written, and drops the rest."""

    def __init__(self, sink: _Sink, most: int) -> None:
        self._sink = sink
        self._left = most

    def write(self, data: bytes, /) -> None:
        if self._left > 0:
            self._sink.write(data[: self._left])
            self._left -= len(data)


class _PartReader:
    """Reads the parts of a body one after the other; holds at most two reads in memory."""

    def __init__(self, stream: BinaryIO, boundary: bytes) -> None:
        self._stream = stream
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=_MOST_HEAD_BYTES,
            max_header_count=_MOST_HEADERS,
            header_charset="latin-1",  # keeps the bytes of any encoding
        )
        self._events = self._all_events()
        self._delimiter = b"--" + boundary
        self._end = b""  # the last bytes read, in which a delimiter may begin
        self._delimiters = 0  # found so far, anywhere in a line

    def segments(self) -> Iterator[MultipartSegment]:
        """Give the head of each part, whose content is to be copied before the next."""
        count = 0
        for event in self._events:
            if isinstance(event, MultipartSegment):
                count += 1
                yield event
        # Some readers accept a delimiter that does not stand alone in its line, others do not.
        if self._delimiters != count + 1:
            raise InvalidRequestError(
                "The multipart request has its boundary in places where it ends no part: send it "
                "with another boundary, and with CRLF at the end of lines."
            )

    def copy(self, sink: _Sink) -> None:
        """Copy the content of the part that was given last."""
        for event in self._events:
            if event is None:
                return
            sink.write(event)

    def _all_events(self) -> Iterator[Any]:
        try:
            while data := self._stream.read(_READ_BYTES):
                self._count(data)
                yield from self._parser.parse(data)
            self._parser.close()  # raises where the last boundary is missing
        except ParserLimitReached:
            raise InvalidRequestError(
                "The multipart request has a part with too long a head."
            ) from None
        except MultipartError as error:
            what = "has a part with no name" if "Disposition" in str(error) else "is damaged"
            raise InvalidRequestError(
                f"The multipart request {what} or was cut off: send it again, as RFC 7578 has it."
            ) from None

    def _count(self, data: bytes) -> None:
        together = self._end + data
        self._delimiters += together.count(self._delimiter)
        keep = len(self._delimiter) - 1
        self._end = together[-keep:] if not together.endswith(self._delimiter) else b""


def _disposition(segment: MultipartSegment) -> tuple[str, bytes | None]:
    """Return the name of a part's field and, of a file, its name."""
    if any(_CONTROL.search(name + value) for name, value in segment.headerlist):
        raise InvalidRequestError(
            "A part of the multipart request has control characters in its head: end lines with "
            "CRLF, and write them as %0D and %0A in names."
        )
    values = [value for name, value in segment.headerlist if name == "Content-Disposition"]
    if len(values) != 1:
        raise InvalidRequestError("A part of the multipart request says twice what it is.")
    if _PLAIN.fullmatch(values[0]):
        filename = segment.filename
        return _utf8(segment.name), None if filename is None else filename.encode("latin-1")
    # A backslash quotes itself and quotes, and nothing else: it stands in names of Windows.
    _, found = parse_options_header(_BACKSLASH.sub(lambda m: m[0] if m[1] else r"\\", values[0]))
    if "name" not in found:
        raise InvalidRequestError("A part of the multipart request has no name.")
    return _utf8(found["name"]), _filename(values[0], found)


def _utf8(name: str) -> str:
    """Return a field's name, of which the parser keeps the bytes as Latin-1."""
    return name.encode("latin-1", "replace").decode(errors="replace")


def _filename(value: str, found: dict[str, str]) -> bytes | None:
    exact = _EXACT.search(_QUOTED.sub('""', value))  # charset'language'percent-encoded
    if exact is not None and exact[1].count("'") >= 2:
        return unquote_to_bytes(exact[1].split("'", 2)[2].encode("latin-1"))
    name = found.get("filename")
    if name is None:
        return None
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), name.encode("latin-1", "replace"))
