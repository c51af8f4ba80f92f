"""The way in: one freeze in a process of its own, and its publication. Imports no TensorFlow.

The child sees the source and a folder to write to; publishing is done here, once it ended well.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from freezing.child import Child, FreezeCancelledError
from freezing.outcome import Outcome, checked
from freezing.publishing.examining import examine
from freezing.publishing.taking import Taken, take
from freezing.running.events import UnsoundReportError
from freezing.running.steps import (
    Report,
    Step,
    steps_of_comparison,
    steps_of_freeze,
    steps_of_inspection,
)
from freezing.sources.reach import labels_around, within_reach
from worker.errors import FreezeError, ModelNotFoundError, ModelUnavailableError
from worker.jobs.log_lines import LogLine
from worker.jobs.requests import FreezeRequest, InspectionRequest
from worker.models.assumptions import choices, republishing
from worker.models.comparison import Comparison
from worker.models.inspection import Inspection
from worker.models.manifest import Manifest, ManifestDraft, ModelRef
from worker.models.registry import Registry
from worker.settings import Settings

__all__ = ["FreezeCancelledError", "compare", "freeze", "inspect"]

_GRAPH_FILE = "graph.pb"
_ACCELERATED_FILE = "graph.onnx"
# What decides how a version is tried, as workers will.
_SERVING = (
    "micro_batch",
    "run_memory_bytes",
    "load_time_limit_s",
    "verify_time_limit_s",
    "intra_op_threads",
    "inter_op_threads",
)
_REPORTED = (
    "bytes_before",
    "bytes_after",
    "nodes_before",
    "nodes_after",
    "parameters",
    "layers",
    "removed",
    "optimised",
    "batch",
    "audit",
    "verification",
    "runtime",
    "accelerated",
    "examples",
    "warnings",
)


def freeze(
    request: FreezeRequest,
    source: Path,
    *,
    samples: Sequence[Path] = (),
    examples: Path | None = None,
    workdir: Path,
    registry: Registry,
    job_id: str,
    settings: Settings,
    on_log: Callable[[LogLine], None],
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    """Freeze `source` and publish it; return the job's `result`.

    `samples` are images that it is verified with beside those made up, and `examples` a folder or a
    table of pictures whose label is known, by which their preparation is decided.
    Steps are told to `on_log` as they begin; `cancelled` is asked about every half second. Both
    are called in this thread, with which the child dies (Linux counts threads as parents).
    `workdir` must be there; a `graph.pb` is left in it.

    Raises `FreezeError` with a `code` and one sentence where the source cannot be frozen, also
    for a crash, `out_of_memory` and `timed_out`; `FreezeCancelledError` once `cancelled` is true.
    """
    graph = workdir.absolute() / _GRAPH_FILE
    order = freeze_order(request, source, graph, settings, samples=samples, examples=examples)
    report = _numbered(steps_of_freeze(request, has_examples=examples is not None), on_log)
    said = _in_child(order, workdir, settings, report, cancelled)
    outcome = checked(Outcome, said)

    def go_on() -> None:
        if cancelled():
            raise FreezeCancelledError("Cancelled; nothing was published.")

    go_on()
    report.step(Step.PUBLISH)
    # All that had the source is dead: what is there now stays as it is.
    aside = workdir.with_name(f"{workdir.name}.taken")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    try:
        files = _taken(request, outcome, graph, aside, settings)
        return _publish(request, outcome, files, registry, job_id, go_on)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def freeze_order(
    request: FreezeRequest,
    source: Path,
    graph: Path,
    settings: Settings,
    *,
    samples: Sequence[Path] = (),
    examples: Path | None = None,
) -> dict[str, Any]:
    """Return what the process of a freeze is told, which writes the file `graph`."""
    return {
        "action": "freeze",
        "request": request.model_dump(mode="json"),
        "source": str(source.absolute()),
        "graph": str(graph),
        "tolerance": settings.verify_tolerance,
        "samples": [str(path.absolute()) for path in samples],
        "examples": None if examples is None else str(examples.absolute()),
        "most_pixels": settings.max_image_pixels,
        "serving": {name: getattr(settings, name) for name in _SERVING},
    }


def inspect(
    request: InspectionRequest,
    source: Path,
    *,
    workdir: Path,
    settings: Settings,
    on_log: Callable[[LogLine], None],
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    """Look into `source` and return the job's `result`, a `worker.models.inspection.Inspection`.

    Runs, tells and fails as `freeze` does. Nothing of the source is run.
    """
    order = {
        "action": "inspect",
        "request": request.model_dump(mode="json"),
        "source": str(source.absolute()),
    }
    report = _numbered(steps_of_inspection(), on_log)
    outcome = _in_child(order, workdir, settings, report, cancelled)
    if cancelled():
        raise FreezeCancelledError("Cancelled.")
    try:
        return Inspection.model_validate(outcome).model_dump(mode="json")
    except ValidationError as error:
        raise UnsoundReportError("gave an inspection that none can be") from error


def compare(
    manifest: Manifest,
    graph: Path,
    images: Sequence[Path],
    *,
    top: int,
    workdir: Path,
    settings: Settings,
    on_log: Callable[[LogLine], None],
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    """Run a version on images prepared in all ways that may be meant; return the job's `result`.

    `graph` is the file that workers load. Runs, tells and fails as `freeze` does, and returns a
    `worker.models.comparison.Comparison`.
    """
    order = {
        "action": "compare",
        "manifest": manifest.model_dump_json(),
        "source": str(graph.absolute()),
        "samples": [str(path.absolute()) for path in images],
        "top": top,
        "most_pixels": settings.max_image_pixels,
        "serving": {name: getattr(settings, name) for name in _SERVING},
    }
    report = _numbered(steps_of_comparison(), on_log)
    outcome = _in_child(order, workdir, settings, report, cancelled)
    if cancelled():
        raise FreezeCancelledError("Cancelled.")
    try:
        return Comparison.model_validate(outcome).model_dump(mode="json", exclude_none=True)
    except ValidationError as error:
        raise UnsoundReportError("gave a comparison that none can be") from error


def _in_child(
    order: dict[str, Any],
    workdir: Path,
    settings: Settings,
    report: Report,
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    """Have a child process do what the order says; return its outcome.

    It can read the source and write to `workdir`, and reach nothing else.
    """
    workdir = workdir.resolve()
    limits = {
        "parent": os.getpid(),
        "memory_bytes": settings.freeze_memory_bytes,
        "verify_time_limit_s": settings.verify_time_limit_s,
        "allow_code": settings.allow_keras_code,
        "confinement": settings.freeze_confinement,
        "read": [str(path) for path in _readable(order, settings)] + order.get("samples", []),
        "write": [str(workdir)],
    }
    child = Child({**order, **limits}, workdir, report)
    try:
        return child.wait(settings.freeze_time_limit_s, cancelled)
    finally:
        child.kill()


def _readable(order: dict[str, Any], settings: Settings) -> list[Path]:
    """Return what the child may read: the source, labels around it, and examples."""
    source, roots = Path(order["source"]), settings.source_roots
    place = order.get("examples")
    examples = [] if place is None else within_reach(Path(place), roots)
    return [*within_reach(source, roots), *labels_around(source, roots), *examples]


def _numbered(steps: Sequence[Step], on_log: Callable[[LogLine], None]) -> Report:
    """Return a report that says of each step which of how many it is."""

    def tell(event: Mapping[str, Any]) -> None:
        if event["event"] == "log":
            on_log(LogLine(event["message"]))
        else:
            step = Step(event["step"])
            on_log(LogLine.of_step(step.value, steps.index(step) + 1, len(steps)))

    return Report(tell)


def _taken(
    request: FreezeRequest,
    outcome: dict[str, Any],
    graph: Path,
    aside: Path,
    settings: Settings,
) -> list[Taken]:
    """Take the graph, and what it was converted to; have them audited, and say what they are.

    What the child said of the files gives way, in the outcome, to what was found.
    """
    names = [_GRAPH_FILE] + ([_ACCELERATED_FILE] if request.runtime == "onnxruntime" else [])
    files = [take(graph.with_name(name), aside / name) for name in names]
    examined = examine(
        files,
        given=outcome["inputs"][0]["name"],
        gives=[tensor["name"] for tensor in outcome["outputs"]],
        settings=settings,
    )
    outcome.update(
        audit=examined.as_audit(),
        bytes_after=files[0].bytes,
        nodes_after=examined.nodes,
        runtime=request.runtime,
    )
    if len(files) > 1:
        outcome["accelerated"] = {**(outcome["accelerated"] or {}), "bytes": files[1].bytes}
    return files


def _publish(
    request: FreezeRequest,
    outcome: dict[str, Any],
    files: Sequence[Taken],
    registry: Registry,
    job_id: str,
    before: Callable[[], None],
) -> dict[str, Any]:
    report = {key: outcome[key] for key in _REPORTED}
    draft = ManifestDraft(
        name=request.name,
        inputs=outcome["inputs"],
        outputs=outcome["outputs"],
        labels=outcome["labels"],
        preprocessing=outcome["preprocessing"],
        basis=outcome["basis"],
        scores=outcome["scores"],
        runtime=outcome["runtime"],
        measured=outcome["measured"],
        source={**outcome["source"], "job": job_id},
        report=report,
    )
    _refuse_to_replace(draft, registry, request.alias)
    graph, *converted = [file.path for file in files]
    accelerated = converted[0] if converted else None
    manifest = registry.publish(draft, graph, request.alias, accelerated=accelerated, before=before)
    return {
        "model": manifest.name,
        "version": manifest.version,
        "sha256": manifest.sha256,
        **report,
        "inputs": outcome["inputs"],
        "outputs": outcome["outputs"],
        "preprocessing": outcome["preprocessing"],
        "basis": outcome["basis"],
        "choices": [
            choice._asdict()
            for choice in choices(
                republishing(manifest.name, manifest.version),
                manifest.preprocessing,
                manifest.basis,
            )
        ],
        "classifies": manifest.classifies,
    }


def _refuse_to_replace(draft: ManifestDraft, registry: Registry, alias: str) -> None:
    """Raise `FreezeError` where requests that are served now would be refused from then on."""
    if draft.classifies:
        return
    try:
        present = registry.resolve(ModelRef(draft.name, None, alias))
    except (ModelNotFoundError, ModelUnavailableError):
        return
    if present.classifies:
        error = FreezeError(
            f"{draft.name}@{alias} classifies images now, and this version would not: "
            f"{draft.report['warnings'][-1]} Give it another name or alias (--name, --alias), or "
            "name other inputs and outputs. Nothing was published."
        )
        error.code = "would_not_classify"
        raise error
