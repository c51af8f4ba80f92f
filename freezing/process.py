"""The way in: one freeze in a process of its own, and its publication. Imports no TensorFlow.

The child sees the source and a folder to write to; publishing is done here, once it ended well.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from freezing.child import Child, FreezeCancelledError
from freezing.outcome import FreezeOutcome
from freezing.publishing.audit_messages import ExpectedTensors
from freezing.publishing.examining import examine
from freezing.publishing.safe_copy import Taken, take
from freezing.running.child_events import UnsoundReportError, checked
from freezing.running.orders import (
    Bounds,
    ComparisonOrder,
    FreezeOrder,
    InspectionOrder,
    Order,
    Serving,
)
from freezing.running.steps import (
    FreezeStep,
    Report,
    steps_of_comparison,
    steps_of_freeze,
    steps_of_inspection,
)
from freezing.sources.readable_paths import labels_around, within_reach
from worker.contract.source_requests import FreezeRequest, InspectionRequest
from worker.errors import FreezeError, ModelNotFoundError, ModelUnavailableError
from worker.jobs.log_lines import LogLine
from worker.models.assumptions import choices, republishing
from worker.models.comparison import Comparison
from worker.models.inspection import Inspection
from worker.models.manifest import Manifest, ManifestDraft, ModelRef
from worker.models.registry import Registry
from worker.settings import Settings

__all__ = ["FreezeCancelledError", "compare", "freeze", "inspect"]

_GRAPH_FILE = "graph.pb"
_ACCELERATED_FILE = "graph.onnx"
_REPORTED = {
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
}


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
    outcome = checked(FreezeOutcome, _in_child(order, workdir, settings, report, cancelled))

    def go_on() -> None:
        if cancelled():
            raise FreezeCancelledError("Cancelled; nothing was published.")

    go_on()
    report.step(FreezeStep.PUBLISH)
    # All that had the source is dead: what is there now stays as it is.
    aside = workdir.with_name(f"{workdir.name}.taken")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    try:
        outcome, files = _taken(request, outcome, graph, aside, settings)
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
) -> FreezeOrder:
    """Return what the process of a freeze is told, which writes the file `graph`."""
    return FreezeOrder(
        request=request,
        source=source.absolute(),
        bounds=_bounds(source, graph.parent, settings, samples=samples, examples=examples),
        graph=graph,
        tolerance=settings.verify_tolerance,
        samples=tuple(path.absolute() for path in samples),
        examples=None if examples is None else examples.absolute(),
        most_pixels=settings.max_image_pixels,
        serving=Serving.model_validate(settings),
    )


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
    order = InspectionOrder(
        request=request,
        source=source.absolute(),
        bounds=_bounds(source, workdir, settings),
    )
    report = _numbered(steps_of_inspection(), on_log)
    outcome = _in_child(order, workdir, settings, report, cancelled)
    if cancelled():
        raise FreezeCancelledError("Cancelled.")
    return checked(Inspection, outcome).model_dump(mode="json")


def _bounds(
    source: Path,
    workdir: Path,
    settings: Settings,
    *,
    samples: Sequence[Path] = (),
    examples: Path | None = None,
) -> Bounds:
    """Let the child read the source, labels around it, and pictures, and write to `workdir`."""
    roots = settings.source_roots
    read = [*within_reach(source.absolute(), roots), *labels_around(source.absolute(), roots)]
    if examples is not None:
        read += within_reach(examples.absolute(), roots)
    return Bounds(
        parent=os.getpid(),
        memory_bytes=settings.freeze_memory_bytes,
        verify_time_limit_s=settings.verify_time_limit_s,
        allow_code=settings.allow_keras_code,
        confinement=settings.freeze_confinement,
        read=(*read, *(path.absolute() for path in samples)),
        write=(workdir.resolve(),),
    )


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
    order = ComparisonOrder(
        manifest=manifest,
        source=graph.absolute(),
        bounds=_bounds(graph, workdir, settings, samples=images),
        samples=tuple(path.absolute() for path in images),
        top=top,
        most_pixels=settings.max_image_pixels,
        serving=Serving.model_validate(settings),
    )
    report = _numbered(steps_of_comparison(), on_log)
    outcome = _in_child(order, workdir, settings, report, cancelled)
    if cancelled():
        raise FreezeCancelledError("Cancelled.")
    return checked(Comparison, outcome).model_dump(mode="json", exclude_none=True)


def _in_child(
    order: Order,
    workdir: Path,
    settings: Settings,
    report: Report,
    cancelled: Callable[[], bool],
) -> Any:
    """Have a child process do what the order says; return its outcome."""
    child = Child(order, workdir.resolve(), report)
    try:
        return child.wait(settings.freeze_time_limit_s, cancelled)
    finally:
        child.kill()


def _numbered(steps: Sequence[FreezeStep], on_log: Callable[[LogLine], None]) -> Report:
    """Return a report that says of each step which of how many it is."""

    def tell(event: Mapping[str, Any]) -> None:
        if event["event"] == "log":
            on_log(LogLine(event["message"]))
        else:
            step = FreezeStep(event["step"])
            on_log(LogLine.of_step(step.value, steps.index(step) + 1, len(steps)))

    return Report(tell)


def _taken(
    request: FreezeRequest, outcome: FreezeOutcome, graph: Path, aside: Path, settings: Settings
) -> tuple[FreezeOutcome, list[Taken]]:
    """Take the graph, and what it was converted to; have them audited, and say what they are.

    What the child said of the files gives way, in the outcome, to what was found.
    """
    names = [_GRAPH_FILE] + ([_ACCELERATED_FILE] if request.runtime == "onnxruntime" else [])
    files = [take(graph.with_name(name), aside / name) for name in names]
    wanted = ExpectedTensors(
        input=outcome.inputs[0].name, outputs=tuple(tensor.name for tensor in outcome.outputs)
    )
    examined = examine(files, wanted, settings)
    found: dict[str, object] = {
        "audit": examined.as_audit(),
        "bytes_after": files[0].bytes,
        "nodes_after": examined.nodes,
    }
    if outcome.runtime != request.runtime or (outcome.accelerated is None) != (len(files) == 1):
        raise UnsoundReportError("gave a result for another runtime than was asked for")
    if outcome.accelerated is not None:
        found["accelerated"] = outcome.accelerated.model_copy(update={"bytes": files[1].bytes})
    return outcome.model_copy(update=found), files


def _publish(
    request: FreezeRequest,
    outcome: FreezeOutcome,
    files: Sequence[Taken],
    registry: Registry,
    job_id: str,
    before: Callable[[], None],
) -> dict[str, Any]:
    said = outcome.model_dump(mode="json")
    report = {key: value for key, value in said.items() if key in _REPORTED}
    draft = outcome.draft(request.name).model_copy(
        update={
            "runtime": outcome.runtime,
            "measured": outcome.measured,
            "source": {**said["source"], "job": job_id},
            "report": report,
        }
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
        "inputs": said["inputs"],
        "outputs": said["outputs"],
        "preprocessing": said["preprocessing"],
        "basis": said["basis"],
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
