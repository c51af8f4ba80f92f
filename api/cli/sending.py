"""Sends images into an open batch: several requests at once, each with many images."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from api.cli.images import Entry
from api.cli.pool import as_done
from api.cli.results import Row
from worker.errors import InvalidRequestError

if TYPE_CHECKING:
    from api.client import Client

_AT_ONCE = 4  # requests under way at the same time
_REQUEST_BYTES = 4_000_000  # of images in one request; a larger image has one for itself
_REQUEST_IMAGES = 100


class Sent(NamedTuple):
    """What became of the images of one request."""

    images: int
    problems: list[Row]  # of images that could not be sent


def send(client: "Client", job_id: str, entries: Iterable[Entry]) -> Iterator[Sent]:
    """Send the images and tell of each request that ended; memory does not grow with their number.

    Raises what ended a request for good; the code is `conflict` where the batch takes no more.
    """
    for _, outcome in as_done(
        _requests(entries), lambda chunk: _send(client, job_id, chunk), threads=_AT_ONCE
    ):
        if isinstance(outcome, Exception):
            raise outcome
        yield outcome


def _requests(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    size = 0
    for entry in entries:
        if chunk and (size + entry.size > _REQUEST_BYTES or len(chunk) == _REQUEST_IMAGES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += entry.size
    if chunk:
        yield chunk


def _send(client: "Client", job_id: str, chunk: list[Entry]) -> Sent:
    from api.client import ImageForm  # noqa: PLC0415 - imports httpx

    if chunk[0].size > _REQUEST_BYTES:
        return Sent(1, _send_large(client, job_id, chunk[0]))
    form, problems = ImageForm(), []
    for entry in chunk:
        try:
            form.add(entry.name, Path(entry.path).read_bytes())
        except OSError as error:
            problems.append(_unreadable(entry, error))
    if form.count:
        client.add_images(job_id, form)
    return Sent(len(chunk), problems)


def _send_large(client: "Client", job_id: str, entry: Entry) -> list[Row]:
    from api.client import ImageForm, ServerError  # noqa: PLC0415 - imports httpx

    form = ImageForm()
    form.add_file(entry.name, Path(entry.path))
    try:
        client.add_images(job_id, form)
    except OSError as error:
        return [_unreadable(entry, error)]
    except InvalidRequestError as error:  # it could not be opened
        return [Row.failure(entry.name, {"code": "unreadable", "message": error.message})]
    except ServerError as error:
        if error.status != 413:
            raise
        return [Row.failure(entry.name, {"code": error.code, "message": error.message})]
    return []


def _unreadable(entry: Entry, error: OSError) -> Row:
    reason = f"The file cannot be read: {error.strerror or error}."
    return Row.failure(entry.name, {"code": "unreadable", "message": reason})
