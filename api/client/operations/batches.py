"""Batches: open, add, seal, retry, and read the results."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from api.client import reading
from api.client.address import path_part
from api.client.attempts import document, lines
from api.client.connection import Connection
from api.client.forms import Form
from api.client.operations.jobs import HasId, id_of
from api.client.operations.submitting import given, read_job, submitted
from api.client.steps import ApiRequest, Json, Pause, ReadBy, Steps

if TYPE_CHECKING:
    from worker.contract.batches import BatchRow

GIVES_ROWS = ReadBy["BatchRow"](lambda row: row)  # rows are read line by line before

_HOLD_S = 1.0  # for which a server holds its answer while the results of a batch are awaited
_PAUSE_S = 0.2  # between two reads if it does not hold its answer


@ReadBy(reading.batch_job)
def open_batch(
    connection: Connection,
    *,
    model: str | None = None,
    top: int | None = None,
    key: str | None = None,
    webhook: str | None = None,
) -> Steps[Json]:
    """Open a batch and return its job; the same `key` gives the same job again.

    `webhook`: an address that the server tells when the batch has ended.
    """
    asked = {"open": True, **given(model=model, top=top, webhook=webhook)}
    return (yield from submitted(connection, "/v1/batches", body=asked, key=key))


@ReadBy(reading.batch_job)
def batch_folder(
    connection: Connection,
    folder: str,
    *,
    model: str | None = None,
    top: int | None = None,
    key: str | None = None,
    webhook: str | None = None,
) -> Steps[Json]:
    """Let the server classify a folder that it can read, and return the job.

    Raises `ServerError` with the code `not_found` where there is no such folder.
    """
    asked = {"folder": folder, **given(model=model, top=top, webhook=webhook)}
    return (yield from submitted(connection, "/v1/batches", body=asked, key=key))


@ReadBy(reading.added)
def add_images(connection: Connection, job_id: str | HasId, form: Form) -> Steps[Json]:
    """Add the files `images` of a form to an open batch; paths that it has are left out.

    Returns `added`, `already` and `skipped`. Raises `ServerError` with the code `conflict` where
    the batch takes no more.
    """
    request = ApiRequest(
        method="POST",
        path=f"/v1/batches/{path_part(id_of(job_id))}/images",
        body=form.body(),
        headers=form.headers(),
    )
    return (yield from document(connection, request, "added"))


@ReadBy(reading.batch_job)
def seal(connection: Connection, job_id: str | HasId) -> Steps[Json]:
    """Say that nothing more is added, and return the job."""
    path = f"/v1/batches/{path_part(id_of(job_id))}/seal"
    return (yield from submitted(connection, path))


@ReadBy(reading.batch_job)
def retry(connection: Connection, job_id: str | HasId) -> Steps[Json]:
    """Queue the failed images of a batch again, and return the job."""
    path = f"/v1/batches/{path_part(id_of(job_id))}/retry"
    return (yield from submitted(connection, path))


@ReadBy(str)
def batch_paths(connection: Connection, job_id: str | HasId) -> Steps[None]:
    """Give the paths of all images that a batch has, in the order in which they came."""
    path = f"/v1/batches/{path_part(id_of(job_id))}/images"
    yield from lines(connection, ApiRequest(method="GET", path=path), _text)


@GIVES_ROWS
def results(
    connection: Connection,
    job_id: str | HasId,
    *,
    status: Literal["succeeded", "failed"] | None = None,
    order: Literal["path"] | None = None,
) -> Steps[None]:
    """Give the images of a batch that have ended so far, a row each, in the order they arrived.

    `status`: only those that `succeeded` or `failed`. `order`: `path` sorts them, up to 200,000.
    """
    job = reading.job_base((yield from read_job(connection, id_of(job_id))))
    fixed = job.status.ended
    yield from rows(connection, job.id, lambda row: row, status=status, order=order, fixed=fixed)


@GIVES_ROWS
def results_as_they_come(connection: Connection, job_id: str | HasId) -> Steps[None]:
    """Give each image of a batch once it has ended, a row each, until all have."""
    watched = BatchWatch(connection, id_of(job_id))
    while not watched.ended:
        yield from watched.look()


class BatchWatch:
    """Gives the rows of a running batch, each once.

    A server gives all rows at every reading, so they are read anew only when half as many again
    have ended: each is read about three times at most, however long the batch is.
    """

    def __init__(self, connection: Connection, job_id: str) -> None:
        self._connection = connection
        self._job_id = job_id
        self._known: set[str] = set()
        self.ended = False

    def look(self, hold_s: float = _HOLD_S) -> Steps[None]:
        """Read the job, and give the new rows if enough images have ended since."""
        asked = self._connection.clock()
        job = reading.batch_job((yield from read_job(self._connection, self._job_id, hold_s)))
        done = job.progress.succeeded + job.progress.failed
        self.ended = job.status.ended
        if self.ended or done >= len(self._known) * 1.5 + 1:
            yield from rows(self._connection, self._job_id, self._new, fixed=self.ended)
        elif hold_s and self._connection.clock() - asked < hold_s / 2:
            yield Pause(_PAUSE_S)

    def _new(self, row: "BatchRow") -> "BatchRow | None":
        if row.path in self._known:
            return None
        self._known.add(row.path)
        return row


def rows(
    connection: Connection,
    job_id: str,
    keep: "Callable[[BatchRow], BatchRow | None]",
    *,
    status: str | None = None,
    order: str | None = None,
    fixed: bool,
) -> Steps[None]:
    """Give what `keep` makes of each row that a batch has by now.

    `fixed`: whether the batch has ended, so that there will be no others.
    """
    request = ApiRequest(
        method="GET",
        path=f"/v1/batches/{path_part(job_id)}/results",
        params=given(format="jsonl", status=status, order=order),
    )
    read = reading.row_reader()
    yield from lines(connection, request, lambda line: keep(read(line)), fixed=fixed)


def _text(line: bytes) -> str:
    found = json.loads(line)
    if not isinstance(found, str):
        raise ValueError("no text")
    return found
