"""A job in an answer: one model for each kind, distinguished by `kind`."""

from typing import Annotated, Final, Literal

from pydantic import Field, RootModel

from worker.contract.base import Answered, JobId
from worker.contract.freezes import FreezeResult
from worker.contract.image_jobs import (
    BatchJob,
    JobBase,
    LoggedJob,
    PinnedVersion,
    PredictionJob,
)
from worker.jobs.records import Kind, Status
from worker.models.comparison import Comparison
from worker.models.inspection import Inspection


class FreezeJob(LoggedJob):
    """A source to freeze."""

    kind: Literal[Kind.FREEZE]
    model: PinnedVersion | None = Field(description="What it published; null until then.")
    result: FreezeResult | None = Field(description="null until it has succeeded.")


class InspectionJob(LoggedJob):
    """A source to look into."""

    kind: Literal[Kind.INSPECTION]
    model: None = Field(description="An inspection has none.")
    result: Inspection | None = Field(description="null until it has succeeded.")


class ComparisonJob(LoggedJob):
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
