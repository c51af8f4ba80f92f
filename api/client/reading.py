"""Reads answers as the contract's models.

A server may be newer than the client: fields that the models do not know are ignored, and
`document` still returns them. A field that is missing or of another type is a
`NotPermafrostError` that names it.

The models are imported when the first answer is read, so that `--help` starts without them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from api.client.errors import JobError, NotPermafrostError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from api.client.steps import Json
    from worker.contract.batches import Added, BatchRow
    from worker.contract.image_jobs import BatchJob, JobBase, PinnedVersion, PredictionJob
    from worker.contract.jobs import AnyJob, ComparisonJob, FreezeJob, InspectionJob
    from worker.contract.keys import Key, NewKey, OwnGrant
    from worker.contract.models import Model, ModelSummary, Retired, Version
    from worker.contract.predictions import Prediction
    from worker.contract.workers import Worker

M = TypeVar("M", bound="BaseModel")
JobT = TypeVar("JobT", bound="JobBase")

_DOCUMENT = "_document"  # where an answer keeps the JSON that it was read from


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The answer of a model to one image."""

    predictions: "list[Prediction]"  # the best first
    model: "PinnedVersion"
    job_id: str

    @property
    def label(self) -> str:
        """The best label."""
        return self.predictions[0].label

    @property
    def score(self) -> float:
        """Its score."""
        return self.predictions[0].score

    def __str__(self) -> str:
        """Return the labels with their scores: `cat 97.1%, dog 2.9%`."""
        return ", ".join(f"{one.label} {_score(one.score)}" for one in self.predictions)


@dataclass(frozen=True, kw_only=True)
class JobBasePage:
    """Jobs of one page, newest first; their results, perhaps of an earlier version, as JSON."""

    jobs: "list[JobBase]"
    next: str | None  # the `cursor` of the next page; None: this is the last


def read(model: type[M], found: Any) -> M:
    """Read an answer; raise `NotPermafrostError` where it is not what the contract says."""
    from pydantic import ValidationError  # noqa: PLC0415

    try:
        answer = model.model_validate(found, extra="ignore")
    except ValidationError as error:
        raise _strange(model, error) from error
    answer.__dict__[_DOCUMENT] = found
    return answer


def _strange(model: "type[BaseModel]", error: "ValidationError") -> NotPermafrostError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    said = ": ".join(filter(None, (model.__name__, where, first["msg"])))
    return NotPermafrostError(
        f"The server answers something else than this client knows ({said}): perhaps it is of "
        "another version."
    )


def document(answer: "BaseModel") -> "Json":
    """Return an answer as the server sent it, with fields that this client does not know.

    A model within an answer, or one that was not read from an answer, has only the known fields.
    """
    from worker.contract.base import as_json  # noqa: PLC0415

    found: Json | None = answer.__dict__.get(_DOCUMENT)
    return as_json(answer) if found is None else found


def any_job(found: Any) -> "AnyJob":
    """Read a job of any kind."""
    kind = found.get("kind") if isinstance(found, dict) else None
    if kind == "prediction":
        return prediction_job(found)
    if kind == "batch":
        return batch_job(found)
    from worker.contract.jobs import Job  # noqa: PLC0415 - takes longer than those

    job = read(Job, found).root
    job.__dict__[_DOCUMENT] = found
    return job


def job_page(found: "Json") -> JobBasePage:
    """Read one page of jobs."""
    return JobBasePage(jobs=[job_base(one) for one in found["jobs"]], next=found.get("next"))


def job_base(found: Any) -> "JobBase":
    """Read the fields that jobs of all kinds have."""
    from worker.contract.image_jobs import JobBase  # noqa: PLC0415

    return read(JobBase, found)


def succeeded(kind: "type[JobT]", found: Any) -> "JobT":
    """Read a job that has ended; raise `JobError` where it did not succeed."""
    job = read(kind, found)
    if job.status != "succeeded":
        code = job.error.code if job.error else "cancelled"
        message = job.error.message if job.error else f"Job {job.id} was {job.status}."
        raise JobError(message, code=code, job=job)
    return job


def classification(found: Any) -> Classification:
    """Read the result of a prediction that has ended; raise `JobError` where it failed."""
    from worker.contract.image_jobs import PredictionJob  # noqa: PLC0415

    job = succeeded(PredictionJob, found)
    if job.result is None:
        raise NotPermafrostError(f"Job {job.id} has succeeded, but has no result.")
    return Classification(predictions=job.result.predictions, model=job.model, job_id=job.id)


def models(found: Any) -> "list[ModelSummary]":
    """Read all models."""
    from worker.contract.models import ModelSummary  # noqa: PLC0415

    return [read(ModelSummary, one) for one in found["models"]]


def workers(found: Any) -> "list[Worker]":
    """Read all workers."""
    from worker.contract.workers import Worker  # noqa: PLC0415

    return [read(Worker, one) for one in found["workers"]]


def keys(found: Any) -> "list[Key]":
    """Read all API keys."""
    from worker.contract.keys import Key  # noqa: PLC0415

    return [read(Key, one) for one in found["keys"]]


def own_key(found: Any) -> "OwnGrant | None":
    """Read what the client's own API key allows."""
    from worker.contract.keys import OwnKey  # noqa: PLC0415

    return read(OwnKey, {"key": found}).key


def added(found: Any) -> "Added":
    """Read how many images were added."""
    from worker.contract.batches import Added  # noqa: PLC0415

    return read(Added, found)


def row_reader() -> "Callable[[bytes], BatchRow]":
    """Return what reads a row of a batch from its line.

    There may be millions of them, so a row keeps no document, and lines are read without Python's
    objects between.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from worker.contract.batches import BatchRow  # noqa: PLC0415

    read_line = BatchRow.model_validate_json

    def row(line: bytes) -> BatchRow:
        try:
            return read_line(line, extra="ignore")
        except ValidationError as error:
            raise _strange(BatchRow, error) from error

    return row


def prediction_job(found: Any) -> "PredictionJob":
    """Read a prediction."""
    from worker.contract.image_jobs import PredictionJob  # noqa: PLC0415

    return read(PredictionJob, found)


def batch_job(found: Any) -> "BatchJob":
    """Read a batch."""
    from worker.contract.image_jobs import BatchJob  # noqa: PLC0415

    return read(BatchJob, found)


def freeze_job(found: Any) -> "FreezeJob":
    """Read a freeze."""
    from worker.contract.jobs import FreezeJob  # noqa: PLC0415

    return read(FreezeJob, found)


def inspection_job(found: Any) -> "InspectionJob":
    """Read an inspection."""
    from worker.contract.jobs import InspectionJob  # noqa: PLC0415

    return read(InspectionJob, found)


def comparison_job(found: Any) -> "ComparisonJob":
    """Read a comparison."""
    from worker.contract.jobs import ComparisonJob  # noqa: PLC0415

    return read(ComparisonJob, found)


def model(found: Any) -> "Model":
    """Read a model."""
    from worker.contract.models import Model  # noqa: PLC0415

    return read(Model, found)


def version(found: Any) -> "Version":
    """Read a version."""
    from worker.contract.models import Version  # noqa: PLC0415

    return read(Version, found)


def model_summary(found: Any) -> "ModelSummary":
    """Read the summary of a model."""
    from worker.contract.models import ModelSummary  # noqa: PLC0415

    return read(ModelSummary, found)


def retired(found: Any) -> "Retired":
    """Read a model of which a version was retired."""
    from worker.contract.models import Retired  # noqa: PLC0415

    return read(Retired, found)


def key(found: Any) -> "Key":
    """Read an API key."""
    from worker.contract.keys import Key  # noqa: PLC0415

    return read(Key, found)


def new_key(found: Any) -> "NewKey":
    """Read an API key that was made."""
    from worker.contract.keys import NewKey  # noqa: PLC0415

    return read(NewKey, found)


def _score(value: float) -> str:
    return f"{value:.1%}" if 0 <= value <= 1 else f"{value:.4g}"
