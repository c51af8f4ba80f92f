"""The client as commands use it: what it can do, and what only they need."""

from collections.abc import Iterator
from functools import partial
from typing import TypeVar

from api.client.blocking import blocking, iterating
from api.client.client import Client
from api.client.operations import batches, many, sources
from api.client.operations import jobs as of_jobs
from api.client.operations.jobs import FOLLOW_S
from api.client.reading import document, read
from worker.contract.image_jobs import JobBase

JobT = TypeVar("JobT", bound=JobBase)


class CommandClient(Client):
    """A client whose answers are shown, or passed on with `document`."""

    batch_paths = iterating(batches.batch_paths)
    send = blocking(many.send)
    freeze_files = blocking(sources.freeze_files)
    inspect_files = blocking(sources.inspect_files)
    batch = blocking(of_jobs.batch)
    job_page = blocking(of_jobs.page)

    def states(self, job: JobT, *, hold_s: float = FOLLOW_S) -> Iterator[JobT]:
        """Give a job as it is, and as it is each time that it is read, until it has ended."""
        steps = of_jobs.states(self.connection, document(job), hold_s=hold_s)
        return self.iterate(steps, partial(read, type(job)))
