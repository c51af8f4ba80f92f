"""Sends images into an open batch: several requests at once, each with many images."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from api.cli.results_table import Row
from api.cli.thread_pool import as_done
from api.client.images import ImageEntry

if TYPE_CHECKING:
    from api.cli.command_client import CommandClient

_AT_ONCE = 4  # requests under way at the same time


class Sent(NamedTuple):
    """What became of the images of one request."""

    images: int
    problems: list[Row]  # of images that could not be sent


def send(client: "CommandClient", job_id: str, entries: Iterable[ImageEntry]) -> Iterator[Sent]:
    """Send the images and tell of each request that ended; memory does not grow with their number.

    Raises what ended a request for good; the code is `conflict` where the batch takes no more.
    """
    from api.client.operations.many import requests  # noqa: PLC0415 - imports httpx

    def sent(chunk: list[ImageEntry]) -> Sent:
        rows = [
            Row.failure(problem.entry.name, problem.code, problem.message)
            for problem in client.send(job_id, chunk)
        ]
        return Sent(len(chunk), rows)

    for _, outcome in as_done(requests(entries), sent, threads=_AT_ONCE):
        if isinstance(outcome, Exception):
            raise outcome
        yield outcome
