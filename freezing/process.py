"""The ways in: a freeze and its publication, and an inspection. Imports no TensorFlow.

Each runs in a process of its own, which sees the source and, to freeze it, a folder to write to;
publishing is done here, once it ended well.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from freezing.child import Child, FreezeCancelledError
from worker.jobs.requests import FreezeRequest, InspectionRequest
from worker.models.manifest import ManifestDraft
from worker.models.registry import Registry
from worker.settings import Settings

__all__ = ["FreezeCancelledError", "freeze", "inspect"]

_GRAPH_FILE = "graph.pb"
_REPORTED = (
    "bytes_before",
    "bytes_after",
    "nodes_before",
    "nodes_after",
    "parameters",
    "layers",
    "removed",
    "verification",
    "warnings",
)


def freeze(
    request: FreezeRequest,
    source: Path,
    *,
    workdir: Path,
    registry: Registry,
    job_id: str,
    settings: Settings,
    on_log: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    """Freeze `source` and publish it; return the job's `result`.

    Steps are told to `on_log` as they begin; `cancelled` is asked about every half second. Both
    are called in this thread, with which the child dies (Linux counts threads as parents).
    `workdir` must be there; a `graph.pb` is left in it.

    Raises `FreezeError` with a `code` and one sentence where the source cannot be frozen, also
    for a crash, `out_of_memory` and `timed_out`; `FreezeCancelledError` once `cancelled` is true.
    """
    graph = workdir.absolute() / _GRAPH_FILE
    order = {
        "action": "freeze",
        "request": request.model_dump(mode="json"),
        "source": str(source.absolute()),
        "graph": str(graph),
        "tolerance": settings.verify_tolerance,
    }
    outcome = _in_child(order, settings, on_log, cancelled)
    if cancelled():
        raise FreezeCancelledError("Cancelled; nothing was published.")
    on_log("Publishing ...")
    return _publish(request, outcome, graph, registry, job_id)


def inspect(
    request: InspectionRequest,
    source: Path,
    *,
    settings: Settings,
    on_log: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    """Look into `source` and return the job's `result`, a `worker.models.inspection.Inspection`.

    Runs, tells, and fails as `freeze` does. Nothing of the source is run.
    """
    order = {
        "action": "inspect",
        "request": request.model_dump(mode="json"),
        "source": str(source.absolute()),
    }
    outcome = _in_child(order, settings, on_log, cancelled)
    if cancelled():
        raise FreezeCancelledError("Cancelled.")
    return outcome


def _in_child(
    order: dict[str, Any],
    settings: Settings,
    on_log: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    limits = {"memory_bytes": settings.freeze_memory_bytes, "parent": os.getpid()}
    child = Child({**order, **limits}, on_log)
    try:
        return child.wait(settings.freeze_time_limit_s, cancelled)
    finally:
        child.kill()


def _publish(
    request: FreezeRequest, outcome: dict[str, Any], graph: Path, registry: Registry, job_id: str
) -> dict[str, Any]:
    report = {key: outcome[key] for key in _REPORTED}
    draft = ManifestDraft(
        name=request.name,
        inputs=outcome["inputs"],
        outputs=outcome["outputs"],
        labels=request.labels,
        preprocessing=outcome["preprocessing"],
        scores=outcome["scores"],
        source={**outcome["source"], "job": job_id},
        report=report,
    )
    manifest = registry.publish(draft, graph, request.alias)
    return {
        "model": manifest.name,
        "version": manifest.version,
        "sha256": manifest.sha256,
        **report,
        "inputs": outcome["inputs"],
        "outputs": outcome["outputs"],
    }
