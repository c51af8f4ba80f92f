"""Many images: sent into one batch, and given back as they are classified."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from api.client import reading
from api.client.connection import Connection
from api.client.errors import ServerError
from api.client.forms import Form
from api.client.images import ImageEntry, walk
from api.client.operations.batches import (
    GIVES_ROWS,
    BatchWatch,
    add_images,
    batch_folder,
    open_batch,
    results_as_they_come,
    seal,
)
from api.client.operations.jobs import cancel
from api.client.sources import OnServer
from api.client.steps import Give, ReadBy, Steps, Work
from worker.errors import InvalidRequestError

if TYPE_CHECKING:
    from worker.contract.batches import BatchRow
    from worker.contract.image_jobs import BatchJob, PinnedVersion

REQUEST_BYTES = 4_000_000  # of images in one request; a larger image has one for itself
REQUEST_IMAGES = 100
_LOOK_S = 1.0  # between two reads of the results while images are still sent

Images = str | Path | OnServer | Iterable[str | Path]


class UnsentImage(NamedTuple):
    """An image that could not be sent, and why."""

    entry: ImageEntry
    code: str
    message: str


@GIVES_ROWS
def classify_all(
    connection: Connection,
    images: Images,
    *,
    model: str | None = None,
    top: int | None = None,
    webhook: str | None = None,
    key: str | None = None,
) -> Steps[None]:
    """Classify many images as one batch, and give a row for each once it has ended.

    `images`: a folder with all images in and below it, files and folders, or a folder that the
    server reads itself, `OnServer(path)`. Rows come in the order in which the images end; an image
    that cannot be read or classified is a row with an `error`. `key`: an Idempotency-Key; a
    repetition with the same one continues the batch and sends what is missing.
    """
    if isinstance(images, OnServer):
        job = yield from batch_folder.steps(
            connection, images.path, model=model, top=top, webhook=webhook, key=key
        )
        yield from results_as_they_come.steps(connection, str(job["id"]))
        return
    paths = [images] if isinstance(images, str | Path) else [*images]
    found = requests(walk([str(path) for path in paths]))
    first = yield Work(lambda: next(found, None))
    if first is None:
        raise InvalidRequestError(f"There are no images in {', '.join(map(str, paths)) or '[]'}.")
    job = yield from open_batch.steps(connection, model=model, top=top, webhook=webhook, key=key)
    yield from _sent(connection, reading.batch_job(job), chain([first], found))


def _sent(
    connection: Connection, job: "BatchJob", found: Iterator[list[ImageEntry]]
) -> Steps[None]:
    """Send the images to an open batch, giving rows meanwhile, and give the others after."""
    looked, sent = connection.clock(), 0
    watch = BatchWatch(connection, job.id)
    takes = not (job.status.ended or job.progress.sealed)
    while takes and (entries := (yield Work(lambda: next(found, None)))):
        problems = yield from send.steps(connection, job.id, entries)
        for problem in problems:
            yield Give(_failed(problem, job.model))
        sent += len(entries) - len(problems)
        if connection.clock() - looked > _LOOK_S:
            yield from watch.look(hold_s=0)
            looked = connection.clock()
    if takes and not sent:  # a batch without images is cancelled
        yield from cancel.steps(connection, job.id)
        return
    if takes:
        yield from seal.steps(connection, job.id)
    while not watch.ended:
        yield from watch.look()


def requests(entries: Iterable[ImageEntry]) -> Iterator[list[ImageEntry]]:
    """Give the images of each request; a large image has a request of its own."""
    chunk: list[ImageEntry] = []
    size = 0
    for entry in entries:
        if chunk and (size + entry.size > REQUEST_BYTES or len(chunk) == REQUEST_IMAGES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += entry.size
    if chunk:
        yield chunk


@ReadBy(list)
def send(
    connection: Connection, job_id: str, entries: Sequence[ImageEntry]
) -> Steps[list[UnsentImage]]:
    """Add the images of one request to an open batch; return what could not be sent.

    Raises `ServerError` with the code `conflict` where the batch takes no more.
    """
    form: Form
    problems: list[UnsentImage]
    form, problems = yield Work(lambda: _form(entries))
    try:
        if form.count:
            yield from add_images.steps(connection, job_id, form)
    except OSError as error:
        problems.append(_unreadable(entries[0], error))
    except InvalidRequestError as error:  # a large file could not be opened
        problems.append(UnsentImage(entries[0], "unreadable", error.message))
    except ServerError as error:
        if error.status != 413 or len(entries) > 1:
            raise
        problems.append(UnsentImage(entries[0], error.code, error.message))
    return problems


def _form(entries: Iterable[ImageEntry]) -> tuple[Form, list[UnsentImage]]:
    """Return a form with the images, and those that cannot be read."""
    form, problems = Form(), []
    for entry in entries:
        path = Path(entry.path)
        try:
            if entry.error is not None:
                problems.append(UnsentImage(entry, entry.code, entry.error))
            elif entry.size > REQUEST_BYTES:
                form.add("images", entry.name, path)  # read while it is sent
            else:
                form.add("images", entry.name, path.read_bytes())
        except OSError as error:
            problems.append(_unreadable(entry, error))
    return form, problems


def _unreadable(entry: ImageEntry, error: OSError) -> UnsentImage:
    return UnsentImage(entry, "unreadable", f"The file cannot be read: {error.strerror or error}.")


def _failed(problem: UnsentImage, model: "PinnedVersion") -> "BatchRow":
    """Return the row of an image that the model has not seen."""
    from worker.contract.batches import BatchRow  # noqa: PLC0415
    from worker.contract.problems import Fault  # noqa: PLC0415

    return BatchRow(
        path=problem.entry.name,
        status="failed",
        label=None,
        score=None,
        predictions=None,
        error=Fault(code=problem.code, message=problem.message),
        model=model.name,
        version=model.version,
        sha256=model.sha256,
    )
