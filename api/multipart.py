"""Multipart requests read as they arrive, so that memory does not grow with them.

Flask's own form parser holds every small file of a request in memory until the view runs, which for
ten thousand photographs is all of them.
"""

import io
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from flask import request
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from worker.errors import InvalidRequestError

_READ_BYTES = 64 * 1024
_MOST_FIELD_BYTES = 1024 * 1024
_IN_MEMORY_BYTES = 1024 * 1024  # of a file that is spooled; the rest goes to the disk


class FormField(NamedTuple):
    """A field that is no file."""

    name: str
    value: str


class FormFile(NamedTuple):
    """A file; `stream` is at its beginning and closed after the next part is asked for."""

    name: str
    filename: str
    stream: BinaryIO


def parts() -> Iterator[FormField | FormFile]:
    """Give the request's parts in their order; raise `InvalidRequestError` if it is damaged."""
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary:
        raise InvalidRequestError("The multipart request names no boundary.")
    decoder = MultipartDecoder(boundary.encode("latin-1", "replace"))
    try:
        yield from _parts(decoder)
    except ValueError:
        raise InvalidRequestError(
            "The multipart request is damaged or was cut off before its end."
        ) from None


def _parts(decoder: MultipartDecoder) -> Iterator[FormField | FormFile]:
    head: Field | File | None = None
    sink: BinaryIO = io.BytesIO()
    while True:
        event = decoder.next_event()
        if isinstance(event, NeedData):
            chunk = request.stream.read(_READ_BYTES)
            decoder.receive_data(chunk or None)
        elif isinstance(event, Field):
            head, sink = event, io.BytesIO()
        elif isinstance(event, File):
            head = event
            sink = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # type: ignore[assignment]  # noqa: SIM115 - closed below; typeshed does not call it a BinaryIO
        elif isinstance(event, Data):
            sink.write(event.data)
            if isinstance(head, Field) and sink.tell() > _MOST_FIELD_BYTES:
                raise InvalidRequestError(f"The form field '{head.name}' is too long.")
            if not event.more_data and head is not None:
                sink.seek(0)
                with sink:
                    if isinstance(head, File):
                        yield FormFile(head.name, head.filename, sink)
                    else:
                        yield FormField(head.name, sink.read().decode(errors="replace"))
        elif isinstance(event, Epilogue):
            return
