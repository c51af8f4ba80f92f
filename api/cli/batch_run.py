"""One batch for many images: found again or begun, sent, and followed to its end.

The batch of a command is found by an Idempotency-Key that is made of the paths, the names, sizes
and times of the images, the model's version and `--top`. So the same command over the same images
continues its batch, from this or another shell, without a file that remembers it. Where that batch
was cancelled, has expired, or was sealed before it had every image, the key's counter goes up.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from api.cli.image_upload import send
from api.cli.options import again
from api.cli.results_table import Row, in_order
from api.cli.survey import Survey
from api.client.images import ImageEntry, walk
from api.client.uploads import path_text
from worker.errors import ConflictError, PermafrostError
from worker.formatting import counted, number

if TYPE_CHECKING:
    from api.cli.command_client import CommandClient
    from api.cli.progress import BatchProgressBars
    from worker.contract.image_jobs import BatchJob

_MOST_BATCHES = 1000  # of one command over the same images
_LOOK_S = 1.0  # between two looks at a batch that is being sent


@dataclass(frozen=True, kw_only=True)
class BatchRequest:
    """What a command asks for."""

    paths: Sequence[str]
    survey: Survey
    model: str  # NAME@VERSION
    top: int
    new: bool = False  # not the results of a batch that has ended
    webhook: str | None = None  # told when the batch has ended
    retry: bool = False  # the failures of a batch that had ended again


class BatchRun:
    """Brings one batch to its end."""

    def __init__(
        self,
        client: "CommandClient",
        wanted: BatchRequest,
        shown: "BatchProgressBars",
        *,
        server: str,
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._shown = shown
        self._server = server
        self._job_id: str | None = None
        self._sending = False
        self._ended = False
        self.problems = [_row(entry) for entry in wanted.survey.problems]
        self.by_server = False  # whether the server reads the folder itself
        self.reused = False  # whether the batch had ended before
        self.retried: int | None = None  # failed images of it that were tried again

    def job(self) -> "BatchJob | None":
        """Return the batch's job once it has ended; where an error stops it, say how to go on.

        None where there is no image to send.
        """
        if not self._wanted.survey.images:
            return None
        try:
            job = self._of_folder() or self._of_uploads()
            failed = job.progress.failed
            if self.reused and self._wanted.retry and failed:
                are = "is" if failed == 1 else "are"
                self._tell(f"Batch {self._id}: {counted(failed, 'image')} {are} tried again.")
                job, self.reused, self.retried = self._client.retry(self._id), False, failed
            elif self.reused:
                self._tell(
                    f"Batch {self._id} has classified these images before: "
                    "here are its results (--new classifies again)."
                )
            for state in self._client.states(job):
                self._shown.update(state)
                job = state
            self._ended = True
            return job
        except PermafrostError:
            if self._job_id is not None:
                self._tell(self.left_alone())
            raise

    def rows(self) -> Iterator[Row]:
        """Give the rows of the batch that has ended and of what could not be sent, by their paths.

        They are in the order in which folders are walked through; the server has them in the order
        in which they arrived, which differs because several requests are sent at once.
        """
        sent = iter(()) if self._job_id is None else self._client.results(self._id)
        names = (entry.name for entry in walk(self._wanted.paths))
        return in_order(map(Row.of_batch, sent), self.problems, names)

    def left_alone(self) -> str:
        """Return what becomes of the batch when the command stops here."""
        if self._job_id is None:
            return "Stopped; nothing was sent."
        if self._ended:
            return f"Batch {self._id} has ended: the same command fetches its results."
        does = "sends only what is missing" if self._sending else "follows it"
        goes_on = "is kept" if self._sending else "goes on"
        cancel = again(f"cancel {self._id}", self._server)
        return f"Batch {self._id} {goes_on}: the same command {does}, `{cancel}` ends it."

    @property
    def _id(self) -> str:
        return self._job_id or ""

    # -- a folder that the server reads ------------------------------------------------------

    def _of_folder(self) -> "BatchJob | None":
        """Return the batch of the server's folder; None where the images have to be sent.

        A server on this machine may see the same folder, or be in a container that does not.
        """
        folder = self._shared_folder()
        if folder is None:
            return None
        from api.client import ServerError  # noqa: PLC0415 - imports httpx

        wanted = self._wanted
        try:
            job = self._begun(
                "folder",
                lambda key: self._client.batch_folder(
                    folder, model=wanted.model, top=wanted.top, key=key, webhook=wanted.webhook
                ),
                lambda _: True,
            )
        except ServerError as error:
            if error.code in ("not_found", "invalid_request"):
                return None
            raise
        self._job_id = job.id
        if job.status == "queued":
            self._tell(f"Batch {self._id}: the server reads {path_text(folder)} itself.")
        elif not job.status.ended:
            self._tell(f"Continuing batch {self._id}.")
        job = self._listed(job)
        if job.status != "cancelled" and self._lists_the_same():
            self.by_server = True
            closed = filter(_is_closed_folder, self._wanted.survey.problems)
            self.problems = [_row(entry) for entry in closed]  # the server tells of files
            return job
        self._client.cancel(self._id)
        self._job_id = None
        self._tell("The server sees other files in that folder, so they are sent.")
        return None

    def _shared_folder(self) -> str | None:
        paths = self._wanted.paths
        if self._wanted.webhook is not None:
            return None  # where the server sees other files, its batch is cancelled and would tell
        if not self._client.is_local or len(paths) != 1 or not os.path.isdir(paths[0]):
            return None
        folder = os.path.abspath(paths[0])
        return folder if path_text(folder) == folder else None

    def _listed(self, job: "BatchJob") -> "BatchJob":
        """Return the job once the server knows all images of the folder."""
        states = self._client.states(job, hold_s=_LOOK_S)
        for state in states:
            if state.progress.sealed:
                return state
            self._shown.update(state)
            job = state
        return job

    def _lists_the_same(self) -> bool:
        here = (entry.name for entry in walk(self._wanted.paths) if not _is_closed_folder(entry))
        there = self._client.batch_paths(self._id)
        return all(mine == theirs for mine, theirs in zip_longest(here, there))

    # -- images that are sent ----------------------------------------------------------------

    def _of_uploads(self) -> "BatchJob":
        """Return the batch that has all images, which were sent now or before."""
        wanted, images = self._wanted, self._wanted.survey.images
        known: set[str] = set()

        def fits(job: "BatchJob") -> bool:
            known.clear()
            if job.progress.total:
                known.update(self._client.batch_paths(job.id))
            return _takes_images(job) or next(self._missing(known), None) is None

        job = self._begun(
            "upload",
            lambda key: self._client.open_batch(
                model=wanted.model, top=wanted.top, key=key, webhook=wanted.webhook
            ),
            fits,
        )
        self._job_id = job.id
        if not _takes_images(job):
            if not job.status.ended:
                self._tell(f"Batch {self._id} has all images already.")
            return job
        has = f", {number(len(known))} of which it has" if known else ""
        verb = "Continuing batch" if known else "Batch"
        self._tell(f"{verb} {self._id} of {counted(images, 'image')}{has}.")
        self._sending = True
        self._shown.sending(images, len(known), wanted.survey.skipped)
        try:
            self._send(known)
        except PermafrostError as error:
            if error.code != ConflictError.code:
                raise
            self._check_sealed_whole()
        job = self._client.seal(self._id)
        self._sending = False
        return job

    def _send(self, known: set[str]) -> None:
        looked = time.monotonic()
        for sent in send(self._client, self._id, self._missing(known)):
            self._shown.sent(sent.images)
            self.problems += sent.problems
            if time.monotonic() - looked > _LOOK_S:
                with contextlib.suppress(PermafrostError):  # only the bar waits for it
                    self._shown.update(self._client.batch(self._id))
                looked = time.monotonic()

    def _missing(self, known: set[str]) -> Iterator[ImageEntry]:
        for entry in walk(self._wanted.paths):
            if entry.error is None and entry.name not in known:
                yield entry

    def _check_sealed_whole(self) -> None:
        """Raise `ConflictError` unless another run of this command has sent the rest."""
        if self._client.batch(self._id).status == "cancelled":
            raise ConflictError(f"Batch {self._id} was cancelled meanwhile.")
        if next(self._missing(set(self._client.batch_paths(self._id))), None) is not None:
            raise ConflictError(f"Batch {self._id} was sealed before it had every image.")

    # -- both --------------------------------------------------------------------------------

    def _begun(
        self, form: str, begin: "Callable[[str], BatchJob]", fits: "Callable[[BatchJob], bool]"
    ) -> "BatchJob":
        """Return the first batch of this command that is of use, or a new one."""
        from api.client import ServerError  # noqa: PLC0415 - imports httpx

        wanted = self._wanted
        parts = [form, wanted.model, str(wanted.top), wanted.survey.digest]
        if wanted.webhook is not None:
            parts.append(wanted.webhook)
        digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
        for counter in range(_MOST_BATCHES):
            try:
                job = begin(f"classify-{digest}-{counter}")
            except ServerError as error:
                if error.code in ("expired", "idempotency_key_reused"):
                    continue
                raise
            ended_well = job.status == "succeeded"
            if job.status.ended and (wanted.new or not ended_well):
                continue
            if fits(job):
                self.reused = ended_well
                return job
        raise ConflictError("There are too many batches of these images.")

    def _tell(self, sentence: str) -> None:
        from api.cli.output import message  # noqa: PLC0415 - imports rich

        message(sentence)


def _takes_images(job: "BatchJob") -> bool:
    return not (job.status.ended or job.progress.sealed)


def _is_closed_folder(entry: ImageEntry) -> bool:
    return entry.error is not None and os.path.isdir(entry.path)


def _row(entry: ImageEntry) -> Row:
    return Row.failure(entry.name, entry.code, str(entry.error))
