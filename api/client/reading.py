"""Reads answers as the contract's models.

These are imported when the first answer is read: who takes answers as JSON needs no pydantic.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from api.client.errors import JobError, NotPermafrostError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from worker.contract.batches import Added, BatchRow
    from worker.contract.jobs import (
        AnyJob,
        BatchJob,
        ComparisonJob,
        FreezeJob,
        InspectionJob,
        JobBase,
        PinnedVersion,
        PredictionJob,
    )
    from worker.contract.keys import Key, NewKey, OwnGrant
    from worker.contract.models import Model, ModelSummary, Retired, Version
    from worker.contract.predictions import Prediction
    from worker.contract.workers import Worker

M = TypeVar("M", bound="BaseModel")
JobT = TypeVar("JobT", bound="JobBase")


@dataclass(frozen=True, kw_only=True)
class Classification:
    """What a model says of one image."""

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


def read(model: type[M], document: Any) -> M:
    """Read an answer; raise `NotPermafrostError` where it is not what the contract says."""
    from pydantic import ValidationError  # noqa: PLC0415

    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotPermafrostError(
            f"The server answers something else than this client knows ({model.__name__}: {where}: "
            f"{first['msg']}): perhaps it is of another version."
        ) from error


def any_job(document: Any) -> "AnyJob":
    """Read a job of any kind."""
    from worker.contract.jobs import Job  # noqa: PLC0415

    return read(Job, document).root


def succeeded(kind: "type[JobT]", document: Any) -> "JobT":
    """Read a job that has ended; raise `JobError` where it did not succeed."""
    job = read(kind, document)
    if job.status != "succeeded":
        code = job.error.code if job.error else "cancelled"
        message = job.error.message if job.error else f"Job {job.id} was {job.status}."
        raise JobError(message, code=code, job=job)
    return job


def classification(document: Any) -> Classification:
    """Read what a prediction that has ended says; raise `JobError` where that is nothing."""
    from worker.contract.jobs import PredictionJob  # noqa: PLC0415

    job = succeeded(PredictionJob, document)
    if job.result is None:
        raise NotPermafrostError(f"Job {job.id} has succeeded, but has no result.")
    return Classification(predictions=job.result.predictions, model=job.model, job_id=job.id)


def models(document: Any) -> "list[ModelSummary]":
    """Read all models."""
    from worker.contract.models import ModelList  # noqa: PLC0415

    return read(ModelList, document).models


def workers(document: Any) -> "list[Worker]":
    """Read all workers."""
    from worker.contract.workers import WorkerList  # noqa: PLC0415

    return read(WorkerList, document).workers


def keys(document: Any) -> "list[Key]":
    """Read all API keys."""
    from worker.contract.keys import KeyList  # noqa: PLC0415

    return read(KeyList, document).keys


def own_key(document: Any) -> "OwnGrant | None":
    """Read what the client's own API key allows."""
    from worker.contract.keys import OwnKey  # noqa: PLC0415

    return read(OwnKey, {"key": document}).key


def added(document: Any) -> "Added":
    """Read what became of images."""
    from worker.contract.batches import Added  # noqa: PLC0415

    return read(Added, document)


def row(document: Any) -> "BatchRow":
    """Read a row of a batch."""
    from worker.contract.batches import BatchRow  # noqa: PLC0415

    return read(BatchRow, document)


def prediction_job(document: Any) -> "PredictionJob":
    """Read a prediction."""
    from worker.contract.jobs import PredictionJob  # noqa: PLC0415

    return read(PredictionJob, document)


def batch_job(document: Any) -> "BatchJob":
    """Read a batch."""
    from worker.contract.jobs import BatchJob  # noqa: PLC0415

    return read(BatchJob, document)


def freeze_job(document: Any) -> "FreezeJob":
    """Read a freeze."""
    from worker.contract.jobs import FreezeJob  # noqa: PLC0415

    return read(FreezeJob, document)


def inspection_job(document: Any) -> "InspectionJob":
    """Read an inspection."""
    from worker.contract.jobs import InspectionJob  # noqa: PLC0415

    return read(InspectionJob, document)


def comparison_job(document: Any) -> "ComparisonJob":
    """Read a comparison."""
    from worker.contract.jobs import ComparisonJob  # noqa: PLC0415

    return read(ComparisonJob, document)


def model(document: Any) -> "Model":
    """Read a model."""
    from worker.contract.models import Model  # noqa: PLC0415

    return read(Model, document)


def version(document: Any) -> "Version":
    """Read a version."""
    from worker.contract.models import Version  # noqa: PLC0415

    return read(Version, document)


def model_summary(document: Any) -> "ModelSummary":
    """Read a model in short."""
    from worker.contract.models import ModelSummary  # noqa: PLC0415

    return read(ModelSummary, document)


def retired(document: Any) -> "Retired":
    """Read a model of which a version was retired."""
    from worker.contract.models import Retired  # noqa: PLC0415

    return read(Retired, document)


def key(document: Any) -> "Key":
    """Read an API key."""
    from worker.contract.keys import Key  # noqa: PLC0415

    return read(Key, document)


def new_key(document: Any) -> "NewKey":
    """Read an API key that was made."""
    from worker.contract.keys import NewKey  # noqa: PLC0415

    return read(NewKey, document)


def _score(value: float) -> str:
    return f"{value:.1%}" if 0 <= value <= 1 else f"{value:.4g}"
