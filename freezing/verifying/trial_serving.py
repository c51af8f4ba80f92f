"""Trying a frozen graph as workers will: the same code, the same pictures, the same limits."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from freezing.running.child_events import checked
from freezing.running.failures import CrashedError, MemoryRefusedError, NotRunnableError, capital
from freezing.running.forks import Apart, apart
from freezing.running.limited_runs import TimeLimit, limited
from freezing.running.orders import Serving
from freezing.running.reasons import reason
from freezing.running.steps import Report
from worker.errors import PermafrostError
from worker.formatting import binary_size
from worker.inference.trial import TrialMemoryError, attempt, loading_bytes
from worker.models.manifest import Accelerated, Manifest, ManifestDraft, Measured
from worker.out_of_memory import is_out_of_memory
from worker.settings import Settings

_LOADING = "loading what was frozen"

_FULL_S = 0.1  # that the largest runs should take; workers, who try it as well, run larger ones


def measure(
    report: Report,
    graph: Path,
    onnx: Path | None,
    draft: ManifestDraft,
    serving: Serving,
    *,
    apart: Apart = apart,
) -> Measured:
    """Return what running the graph takes as it is served.

    It is run apart on what is black, white and noise, alone and many together; where only
    those need too much, with fewer images. `draft` says what its manifest will, and
    `serving` with which settings. Raises `MemoryRefusedError`, `NotRunnableError`,
    `CrashedError`, and `FreezeError` with the code `timed_out`.
    """
    settings, manifest = serving.settings, _manifest(graph, onnx, draft)
    most = settings.micro_batch
    while True:
        try:
            given = apart(report, try_serving, *(graph, onnx, draft, serving, most), write=[])
            found = checked(Measured, given)
        except (CrashedError, MemoryRefusedError) as error:
            if error.images > 1:
                most = error.images // 2
                continue
            if isinstance(error, MemoryRefusedError):
                raise _too_large(error, manifest, settings) from error
            raise
        report.log(
            f"As it is served, it takes {found.seconds * 1000:.3g} ms for an image, and "
            f"{found.micro_batch} may be run at once."
        )
        return found


def try_serving(
    _: Report,
    graph: Path,
    onnx: Path | None,
    draft: ManifestDraft,
    serving: Serving,
    most_images: int,
) -> Any:
    """Do what `measure` says, with so many images at most; called in a process of its own."""
    settings, manifest = serving.settings, _manifest(graph, onnx, draft)
    with limited(_LOADING, _time_limit(settings)) as running:
        try:
            measured = attempt(
                manifest,
                onnx or graph,
                settings,
                lambda what, images: running(_LOADING if images == 0 else what, images),
                most_images=most_images,
                full_s=_FULL_S,
            )
        except Exception as error:
            cause = error.__cause__ if isinstance(error, PermafrostError) else error
            if isinstance(error, TrialMemoryError) or (cause and is_out_of_memory(cause)):
                raise MemoryError from error
            why = reason(error)
            if isinstance(error, PermafrostError):
                why = error.message.rstrip(".")
            raise NotRunnableError(
                f"What was frozen cannot be run as it would be served: {why}."
            ) from error
    return measured.model_dump()


def _manifest(graph: Path, onnx: Path | None, draft: ManifestDraft) -> Manifest:
    """Return a manifest for the file, as publishing it would make one."""
    accelerated = None
    if onnx is not None:
        sha256, size = _digest(onnx)
        accelerated = Accelerated(sha256=sha256, bytes=size)
    sha256, size = _digest(graph)
    return Manifest(
        **draft.model_dump(exclude={"runtime"}),
        runtime="tensorflow" if onnx is None else "onnxruntime",
        version=1,
        sha256=sha256,
        bytes=size,
        accelerated=accelerated,
        created_at=datetime.now(UTC),
    )


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def _time_limit(settings: Settings) -> TimeLimit:
    """Return the limit that workers will have for the same, unless a freeze's is shorter."""
    names = "load_time_limit_s", "verify_time_limit_s"
    name = min(names, key=lambda name: float(getattr(settings, name)))
    return TimeLimit(seconds=getattr(settings, name), setting=f"PERMAFROST_{name.upper()}")


def _too_large(
    error: MemoryRefusedError, manifest: Manifest, settings: Settings
) -> MemoryRefusedError:
    needed = settings.run_memory_bytes
    if error.what == _LOADING:
        needed = loading_bytes(manifest, settings)
    return MemoryRefusedError(
        f"{capital(error.what)} needed more than the {binary_size(needed)} of memory that it "
        "may take where it is served (PERMAFROST_RUN_MEMORY_BYTES), so nothing was published. "
        f"{MemoryRefusedError.ADVICE}"
    )
