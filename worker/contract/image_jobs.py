"""What jobs of all kinds have, and the jobs that classify images.

Apart from the jobs of trained models (`jobs.py`), because importing what these answer takes as long
as classifying an image.
"""

from typing import Any, Literal

from pydantic import Field

from worker.contract.base import Answered, Count, JobId, Sha256, Time, left_out
from worker.contract.batches import BatchProgress, BatchResult
from worker.contract.predictions import PredictionResult
from worker.contract.problems import Fault
from worker.jobs.records import Kind, Status
from worker.models.basis import BasisKind

WebhookStateName = Literal["waiting", "pending", "delivered", "failed"]


class PinnedVersion(Answered):
    """The version that a job was accepted for, or that it published."""

    name: str
    version: int = Field(gt=0)
    sha256: Sha256 = Field(description="Of its frozen graph.")
    basis: BasisKind | None = left_out(
        "On what its preprocessing rests: while it is `assumed`, answers may be wrong, and "
        "`GET /v1/models/NAME` says in `choices` how to put that right. Left out where it is not "
        "known."
    )


class Progress(Answered):
    """How many images, or other parts, a job has and how many have ended."""

    total: Count
    succeeded: Count
    failed: Count


class Webhook(Answered):
    """How far it is that a receiver is told of a job's ending."""

    url: str = Field(description="The receiver, without what only it should know.")
    state: WebhookStateName = Field(description="`waiting` until the job has ended.")
    attempts: Count
    last_error: str | None
    next_attempt_at: Time | None


class Links(Answered):
    """Where more is to be had."""

    self: str
    results: str | None = Field(description="Of a batch: its images' rows.")
    events: str = Field(description="Its progress as server-sent events.")


class Requeued(Answered):
    """The last time that a job, or an image of a batch, went back to its queue."""

    at: Time
    reason: str = Field(description="A sentence: a worker died, was stopped, or met an error.")


class Step(Answered):
    """A step that a job began."""

    name: str
    number: int = Field(ge=1)
    of: int = Field(ge=1, description="How many there are.")
    at: Time | None


class JobBase(Answered):
    """What jobs of all kinds have."""

    id: JobId
    kind: Kind
    status: Status = Field(description="The last three are endings.")
    model: PinnedVersion | None
    created_at: Time
    started_at: Time | None = Field(description="null until a worker has begun.")
    finished_at: Time | None = Field(description="null until it has ended.")
    expires_at: Time | None = Field(description="When it is forgotten; null until it has ended.")
    progress: Progress | BatchProgress
    result: Any
    error: Fault | None = Field(description="null unless it failed.")
    attempts: Count = Field(
        description="How often a worker began it; more than once where one died meanwhile."
    )
    requeued: Requeued | None = left_out(
        "The last time that work on it, or on one of its images, ended without a result and was "
        "put back, and why."
    )
    owner: str | None = left_out("The id of the API key that made it, where one was needed.")
    webhook: Webhook | None = left_out("Who is told of its ending, if anybody.")
    links: Links


class LoggedJob(JobBase):
    """One that is done by a process that says what it is doing."""

    progress: Progress
    log: list[str] | None = left_out("What was said so far, a line each; not in lists of jobs.")
    steps: list[Step] | None = left_out("The steps that began so far; not in lists of jobs.")


class PredictionJob(JobBase):
    """One image to classify."""

    kind: Literal[Kind.PREDICTION]
    model: PinnedVersion
    progress: Progress
    result: PredictionResult | None = Field(description="null until it has succeeded.")


class BatchJob(JobBase):
    """Many images to classify; the answers are at `links.results`."""

    kind: Literal[Kind.BATCH]
    model: PinnedVersion
    progress: BatchProgress
    result: BatchResult
