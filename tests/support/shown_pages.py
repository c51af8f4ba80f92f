"""Pages as templates show them: of made-up jobs, models and workers."""

from pathlib import Path
from typing import Any

from flask import render_template

from tests.support.inspected import INSPECTED
from worker.jobs.records import Job, JobProgress, Kind, PinnedModel, Status
from worker.jobs.store import Page
from worker.models.manifest import ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry

ID = "01m83kj3dx40cyc7c5nbsy0kcv"
NOW_MS = 1_795_416_000_000


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": ID,
        "kind": Kind.PREDICTION,
        "status": Status.SUCCEEDED,
        "model": PinnedModel(name="cats-dogs", version=3, sha256="a" * 64),
        "created_ms": NOW_MS,
        "started_ms": NOW_MS + 7,
        "finished_ms": NOW_MS + 7 + 2400,
        "expires_ms": NOW_MS + 86_400_000,
        "progress": JobProgress(total=1, succeeded=1, failed=0),
        "attempts": 1,
        "result": {
            "predictions": [
                {"label": "cat", "score": 0.9702},
                {"label": "<b>dog</b>", "score": 0.0298},
            ]
        },
        "error": None,
        "options": {},
    }
    return Job(**{**fields, **changes})


INSPECTION = job(
    kind=Kind.INSPECTION, model=None, result=INSPECTED, options={"source": None, "signature": None}
)
BATCH = job(
    kind=Kind.BATCH, result=None, progress=JobProgress(total=12, succeeded=10, failed=2, skipped=1)
)
WAITING = {"result": None, "started_ms": None, "finished_ms": None, "expires_ms": None}
FAILURE = {"code": "truncated", "message": "The image is cut off before its last pixel."}
REPORT: dict[str, Any] = {
    "model": "cats-dogs",
    "version": 2,
    "sha256": "b" * 64,
    "bytes_before": 25_591_732,
    "bytes_after": 8_508_067,
    "nodes_before": 401,
    "nodes_after": 41,
    "parameters": 2_126_178,
    "layers": [
        {"name": "conv1/kernel", "shape": [3, 3, 3, 32], "parameters": 864},
        {"name": "fc1", "shape": None, "parameters": 2_097_280},
    ],
    "removed": {"gradients": 160, "optimizer_slots": 60, "summaries": 0},
    "optimised": {"folded_constants": 7, "batch_norms": 3, "nodes_before": 62, "nodes_after": 41},
    "batch": {"source": 1, "served": None},
    "audit": {"verdict": "allowed", "allow_list": "2026-11-24", "ops": {"Conv2D": 3, "Relu": 3}},
    "inputs": [{"name": "x:0", "shape": [None, 128, 128, 3], "dtype": "float32"}],
    "outputs": [{"name": "y_pred:0", "shape": [None, 2], "dtype": "float32"}],
    "verification": {"samples": 8, "max_abs_difference": 1.19e-7, "top1_agreement": 1.0},
    "warnings": ["The labels are not known."],
}
_WAY = {
    "called": "values from 0 to 1, RGB",
    "served": True,
    "preprocessing": {"preset": "zero_one"},
    "command": "./permafrost models pets --preprocessing zero_one",
    "answers": [[{"label": "<b>cat</b>", "score": 0.9}], [{"label": "dog"}]],
}
COMPARISON = job(
    kind=Kind.COMPARISON,
    model=None,
    options={"model": "pets", "version": 2, "sha256": "ab" * 32},
    result={
        "model": "pets",
        "version": 2,
        "images": ["<b>a.jpg", "b.jpg"],
        "ways": [_WAY, _WAY | {"served": False}],
    },
)
PROOF = {
    "clear": False,
    "examples": 4,
    "labels": 2,
    "unreadable": ["'<b>': It is cut off."],
    "candidates": [
        {"called": "values <b>", "right": 4, "of": 4, "log_likelihood": -0.0123, "odds": None}
        | {"taken": True},
        {"called": "values from 0 to 1", "right": 2, "of": 4, "log_likelihood": -3, "odds": 20.0}
        | {"taken": False},
    ],
    "before": {"right": 4, "of": 4, "log_likelihood": -0.0123},
    "after": {"right": 3, "of": 4, "log_likelihood": -0.0123},
}
FREEZE = job(kind=Kind.FREEZE, model=None, result=REPORT, options={"name": "cats-dogs"})
WORKER = {
    "pid": 17238,
    "host": "den",
    "state": "ready",
    "queues": ["interactive", "bulk"],
    "graphs": [
        {
            "model": "cats-dogs",
            "version": 3,
            "state": "ready",
            "loads": 1,
            "load_seconds": 1.253,
            "error": None,
        },
        {
            "model": "old",
            "version": 1,
            "state": "failed",
            "loads": 0,
            "load_seconds": 0.0,
            "error": "The graph of old@1 is damaged.",
        },
    ],
    "memory_bytes": 386_000_000,
    "items": 43,
    "started_at": "2026-11-23T06:55:45.459Z",
}


def shown_job(
    shown: Job,
    photograph: str | None = None,
    log: tuple[str, ...] = (),
    labels: dict[str, int] | None = None,
) -> str:
    return render_template(
        "job.html",
        job=shown,
        photograph=photograph,
        log=list(log),
        labels=labels or {},
        most_labels=2,
    )


def shown_jobs(*found: Job, cursor: str | None = None, first: bool = True) -> str:
    return render_template(
        "jobs.html",
        page=Page(list(found), cursor),
        kind=None,
        status=Status.FAILED,
        first=first,
        kinds=list(Kind),
        statuses=list(Status),
    )


def shown_home(**changes: Any) -> str:
    fields: dict[str, Any] = {
        "models": [],
        "chosen": None,
        "error": None,
        "worker_ready": True,
        "freezing": None,
        "max_bytes": 20 * 2**20,
        "media_types": ["image/jpeg"],
    }
    return render_template("home.html", **{**fields, **changes})


def published(folder: Path, name: str = "cats-dogs", labels: list[str] | None = None) -> Registry:
    graph = folder / "graph.pb"
    graph.write_bytes(b"a graph")
    registry = Registry(folder / "data" / "models")
    registry.publish(
        ManifestDraft(
            name=name,
            inputs=[Tensor(name="x:0", shape=[None, 128, 128, 3], dtype="float32")],
            outputs=[Tensor(name="y_pred:0", shape=[None, 2], dtype="float32")],
            labels=labels,
            preprocessing=Preprocessing(size=(128, 128), mean=[0.5], std=[0.25]),
        ),
        graph,
    )
    return registry
