"""Examples of answers, which the document shows."""

from typing import Any, Final

from worker.contract.batches import Added, BatchRow
from worker.contract.jobs import Job, JobPage
from worker.contract.keys import Key, KeyList, NewKey, OwnKey
from worker.contract.models import Model, ModelList, ModelSummary, Retired, Version
from worker.contract.workers import WorkerList

_ID: Final = "01m83js4vgje9pmv1qhxyas5j2"
_SHA256: Final = "d3e1b0f79c2e4a5f8d6b7c1e0a9f3b2d4c5e6f708192a3b4c5d6e7f8091a2b3c"
_CREATED: Final = "2026-11-30T09:00:00.000Z"
_STARTED: Final = "2026-11-30T09:00:00.004Z"
_FINISHED: Final = "2026-11-30T09:00:00.019Z"
_EXPIRES: Final = "2026-12-01T09:00:00.019Z"
_PINNED: Final = {"name": "cats-dogs", "version": 1, "sha256": _SHA256, "basis": "stated"}
_PREDICTIONS: Final = [{"label": "cat", "score": 0.98}, {"label": "dog", "score": 0.02}]


def _job(**fields: Any) -> Job:
    links = {"self": f"/v1/jobs/{_ID}", "results": None, "events": f"/v1/jobs/{_ID}/events"}
    common = {
        "id": _ID,
        "status": "queued",
        "model": None,
        "created_at": _CREATED,
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "progress": {"total": 1, "succeeded": 0, "failed": 0},
        "result": None,
        "error": None,
        "attempts": 0,
        "links": links,
    }
    return Job.model_validate({**common, **fields})


_ENDED: Final = {
    "status": "succeeded",
    "started_at": _STARTED,
    "finished_at": _FINISHED,
    "expires_at": _EXPIRES,
    "progress": {"total": 1, "succeeded": 1, "failed": 0},
    "attempts": 1,
}
_TENSORS: Final = {
    "inputs": [{"name": "x:0", "shape": [None, 128, 128, 3], "dtype": "float32"}],
    "outputs": [{"name": "y_pred:0", "shape": [None, 2], "dtype": "float32"}],
}
_PREPROCESSING: Final = {
    "size": [128, 128],
    "resize": "stretch",
    "color": "bgr",
    "scale": 1 / 255,
    "mean": [0.0],
    "std": [1.0],
    "layout": "NHWC",
    "filter": "cv2_linear",
    "standardise": False,
}
_BASIS: Final = {
    "kind": "stated",
    "fields": {"scaling": "stated", "color": "stated", "size": "read"},
    "reasons": [],
    "alternatives": [],
}

PREDICTION_QUEUED: Final = _job(kind="prediction", model=_PINNED)
PREDICTION: Final = _job(
    kind="prediction", model=_PINNED, **{**_ENDED, "result": {"predictions": _PREDICTIONS}}
)


def _batch(**fields: Any) -> Job:
    links = {
        "self": f"/v1/jobs/{_ID}",
        "results": f"/v1/batches/{_ID}/results",
        "events": f"/v1/jobs/{_ID}/events",
    }
    return _job(kind="batch", model=_PINNED, links=links, **fields)


_NOTHING_YET: Final = {
    "total": 0,
    "succeeded": 0,
    "failed": 0,
    "skipped": 0,
    "sealed": False,
    "percent": 0.0,
    "rate": None,
    "remaining_s": None,
}
BATCH_QUEUED: Final = _batch(progress=_NOTHING_YET, result={"labels": {}})
BATCH: Final = _batch(
    **{
        **_ENDED,
        "progress": {
            "total": 200,
            "succeeded": 199,
            "failed": 1,
            "skipped": 3,
            "sealed": True,
            "percent": 100.0,
            "rate": 640.2,
            "remaining_s": 0.0,
        },
        "result": {"labels": {"cat": 120, "dog": 79}},
    }
)
ADDED: Final = Added(added=198, already=2, skipped=0)
ROW: Final = BatchRow.model_validate(
    {
        "path": "cats/cat.1.jpg",
        "status": "succeeded",
        "label": "cat",
        "score": 0.98,
        "predictions": _PREDICTIONS,
        "error": None,
        "model": "cats-dogs",
        "version": 1,
        "sha256": _SHA256,
    }
)

FREEZE_QUEUED: Final = _job(kind="freeze")
FREEZE: Final = _job(
    kind="freeze",
    **{
        **_ENDED,
        "model": {"name": "cats-dogs", "version": 1, "sha256": _SHA256},
        "result": {
            "model": "cats-dogs",
            "version": 1,
            "sha256": _SHA256,
            "bytes_before": 9_843_200,
            "bytes_after": 3_280_144,
            "nodes_before": 402,
            "nodes_after": 31,
            "parameters": 819_810,
            "layers": [{"name": "conv1/weights", "shape": [3, 3, 3, 32], "parameters": 864}],
            "removed": {"gradients": 211, "optimizer_slots": 24, "savers": 60},
            "optimised": {
                "folded_constants": 4,
                "batch_norms": 0,
                "nodes_before": 35,
                "nodes_after": 31,
            },
            "batch": {"source": None, "served": None},
            "audit": {
                "verdict": "allowed",
                "allow_list": "9f1c2a",
                "ops": {"Conv2D": 3, "Relu": 4},
                "functions": 0,
            },
            "verification": {
                "samples": 8,
                "tolerance": 1e-4,
                "max_abs_difference": 1.2e-7,
                "max_relative_difference": 1.3e-7,
                "top1_agreement": 1.0,
                "outputs": [
                    {
                        "name": "y_pred:0",
                        "max_abs_difference": 1.2e-7,
                        "max_relative_difference": 1.3e-7,
                        "top1_agreement": 1.0,
                    }
                ],
            },
            "runtime": "tensorflow",
            "accelerated": None,
            "examples": None,
            "warnings": [],
            **_TENSORS,
            "preprocessing": _PREPROCESSING,
            "basis": _BASIS,
            "choices": [],
            "classifies": True,
        },
        "log": ["Step 1 of 6: reading the source ..."],
        "steps": [{"name": "reading the source", "number": 1, "of": 6, "at": _STARTED}],
    },
)
INSPECTION_QUEUED: Final = _job(kind="inspection")
INSPECTION: Final = _job(
    kind="inspection",
    **{
        **_ENDED,
        "status": "failed",
        "progress": {"total": 1, "succeeded": 0, "failed": 1},
        "error": {"code": "bad_source", "message": "There is no model in the upload."},
        "log": [],
        "steps": [],
    },
)
COMPARISON_QUEUED: Final = _job(kind="comparison", model=_PINNED)
COMPARISON: Final = _job(
    kind="comparison",
    model=_PINNED,
    **{
        **_ENDED,
        "result": {
            "model": "cats-dogs",
            "version": 1,
            "images": ["cat.jpg"],
            "ways": [
                {
                    "called": "values from 0 to 1, colours in the order blue, green, red",
                    "served": True,
                    "preprocessing": {"preset": "zero_one", "color": "bgr"},
                    "command": "./permafrost models cats-dogs@1 --preprocessing zero_one",
                    "answers": [_PREDICTIONS],
                }
            ],
        },
        "log": [],
        "steps": [],
    },
)
JOBS: Final = JobPage.model_validate(
    {"jobs": [PREDICTION.model_dump(exclude_unset=True)], "next": None}
)

_SUMMARY: Final = {
    "name": "cats-dogs",
    "aliases": {"stable": 1},
    "versions": [
        {
            "version": 1,
            "sha256": _SHA256,
            "bytes": 3_280_144,
            "runtime": "tensorflow",
            "classifies": True,
            "created_at": _CREATED,
            "labels": 2,
            "basis": "stated",
            "state": "published",
            "set_aside": None,
        }
    ],
    "damaged": [],
}
_VERSION: Final = {
    "name": "cats-dogs",
    **_TENSORS,
    "labels": ["cat", "dog"],
    "preprocessing": _PREPROCESSING,
    "basis": _BASIS,
    "scores": "probabilities",
    "runtime": "tensorflow",
    "source": {"kind": "checkpoint"},
    "report": {"nodes_after": 31},
    "measured": None,
    "format": 1,
    "version": 1,
    "sha256": _SHA256,
    "bytes": 3_280_144,
    "accelerated": None,
    "created_at": _CREATED,
    "assumption": None,
    "choices": [],
}
SUMMARY: Final = ModelSummary.model_validate(_SUMMARY)
MODELS: Final = ModelList(models=[SUMMARY])
VERSION: Final = Version.model_validate(_VERSION)
MODEL: Final = Model.model_validate(
    {
        **_SUMMARY,
        "versions": [
            {
                **{name: value for name, value in _VERSION.items() if name != "report"},
                "state": "published",
                "set_aside": None,
            }
        ],
    }
)
RETIRED: Final = Retired.model_validate({**_SUMMARY, "moved": {}})

WORKERS: Final = WorkerList.model_validate(
    {
        "workers": [
            {
                "id": "host-4711-8fa2c1",
                "pid": 4711,
                "host": "host",
                "state": "ready",
                "queues": ["interactive", "bulk"],
                "graphs": [
                    {
                        "model": "cats-dogs",
                        "version": 1,
                        "sha256": _SHA256,
                        "state": "ready",
                        "loads": 1,
                        "load_seconds": 0.8,
                        "bytes": 3_280_144,
                        "runtime": "tensorflow",
                        "error": None,
                        "digest": "9b1f4c2e8a7d6f5012b3c4d5e6f70819",
                    }
                ],
                "memory_bytes": 366_000_000,
                "items": 200,
                "confinement": {"in_force": ["seccomp"], "missing": []},
                "started_at": _CREATED,
                "seen_at": _FINISHED,
            }
        ]
    }
)

_KEY: Final = {
    "id": "4f1d0c2b9a8e",
    "name": "the shop",
    "scopes": ["submit", "read"],
    "state": "active",
    "created_at": _CREATED,
    "last_used_at": None,
    "expires_at": None,
    "revoked_at": None,
    "rate": None,
}
KEY: Final = Key.model_validate(_KEY)
KEYS: Final = KeyList(keys=[KEY])
NEW_KEY: Final = NewKey.model_validate({**_KEY, "key": "pf_..."})
OWN_KEY: Final = OwnKey.model_validate(
    {"key": {"id": "4f1d0c2b9a8e", "name": "the shop", "scopes": ["read", "submit"]}}
)
EVENT: Final = {
    "id": "0",
    "event": "progress",
    "data": '{"total": 1, "succeeded": 0, "failed": 0}',
}
