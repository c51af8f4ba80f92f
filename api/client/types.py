"""The models of answers, for annotations: `from permafrost.types import BatchRow`."""

from worker.contract.batches import Added, BatchProgress, BatchResult, BatchRow
from worker.contract.freezes import FreezeResult
from worker.contract.image_jobs import (
    BatchJob,
    JobBase,
    PinnedVersion,
    PredictionJob,
    Progress,
    Step,
)
from worker.contract.jobs import AnyJob, ComparisonJob, FreezeJob, InspectionJob
from worker.contract.keys import Key, NewKey, OwnGrant
from worker.contract.models import Model, ModelSummary, Retired, Version, VersionSummary
from worker.contract.predictions import Prediction, PredictionResult
from worker.contract.problems import Fault
from worker.contract.workers import Worker, WorkerGraph
from worker.models.comparison import Comparison
from worker.models.inspection import Inspection

__all__ = [
    "Added",
    "AnyJob",
    "BatchJob",
    "BatchProgress",
    "BatchResult",
    "BatchRow",
    "Comparison",
    "ComparisonJob",
    "Fault",
    "FreezeJob",
    "FreezeResult",
    "Inspection",
    "InspectionJob",
    "JobBase",
    "Key",
    "Model",
    "ModelSummary",
    "NewKey",
    "OwnGrant",
    "PinnedVersion",
    "Prediction",
    "PredictionJob",
    "PredictionResult",
    "Progress",
    "Retired",
    "Step",
    "Version",
    "VersionSummary",
    "Worker",
    "WorkerGraph",
]
