"""A job, as it is answered: one model for each kind, told apart by `kind`."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, RootModel

from worker.contract.base import Answered, Count, JobId, Sha256, Time, left_out
from worker.contract.batches import BatchProgress, BatchResult
from worker.contract.freezes import FreezeResult
from worker.contract.predictions import PredictionResult
from worker.contract.problems import Fault
from worker.jobs.records import Kind, Status
from worker.models.basis import BasisKind
from worker.models.comparison import Comparison
from worker.models.inspection import Inspection

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
    owner: str | None = left_out("The id of the API key that made it, where one was needed.")
    webhook: Webhook | None = left_out("Who is told of its ending, if anybody.")
    links: Links


class _LoggedJob(JobBase):
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


class FreezeJob(_LoggedJob):
    """A source to freeze."""

    kind: Literal[Kind.FREEZE]
    model: PinnedVersion | None = Field(description="What it published; null until then.")
    result: FreezeResult | None = Field(description="null until it has succeeded.")


class InspectionJob(_LoggedJob):
    """A source to look into."""

    kind: Literal[Kind.INSPECTION]
    model: None = Field(description="An inspection has none.")
    result: Inspection | None = Field(description="null until it has succeeded.")


class ComparisonJob(_LoggedJob):
    """A version to try on images that are prepared in each way that may be meant."""

    kind: Literal[Kind.COMPARISON]
    model: PinnedVersion
    result: Comparison | None = Field(description="null until it has succeeded.")


AnyJob = PredictionJob | BatchJob | FreezeJob | InspectionJob | ComparisonJob


class Job(RootModel[Annotated[AnyJob, Field(discriminator="kind")]]):
    """One accepted piece of work, of one of the kinds."""


class JobPage(Answered):
    """Jobs, newest first."""

    jobs: list[Job]
    next: JobId | None = Field(description="The `cursor` of the next page; null: this is the last.")


class JobsQuery(Answered):
    """Which jobs are listed."""

    kind: Kind | None = Field(None, description="Only these.")
    status: Status | None = Field(None, description="Only these.")
    cursor: JobId | None = Field(None, description="Where the page before ended: its `next`.")
    limit: int = Field(50, ge=1, le=200, description="Jobs of one page.")


KINDS: Final[dict[Kind, type[JobBase]]] = {
    Kind.PREDICTION: PredictionJob,
    Kind.BATCH: BatchJob,
    Kind.FREEZE: FreezeJob,
    Kind.INSPECTION: InspectionJob,
    Kind.COMPARISON: ComparisonJob,
}
