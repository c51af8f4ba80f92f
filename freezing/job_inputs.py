"""What a job brings to the worker: its source and its pictures. Imports no TensorFlow."""

from dataclasses import dataclass
from pathlib import Path

import redis

from freezing.sources.paths import find_file, find_source
from freezing.sources.unpacking import unpacked
from worker.archives import ArchiveLimits
from worker.contract.source_requests import FreezeRequest, InspectionRequest
from worker.jobs.uploads import EXAMPLES_FOLDER, SAMPLES_FOLDER, fetch_files
from worker.settings import Settings

_CALLED = "model"  # what sentences call an upload that nobody gave a name


@dataclass(frozen=True, kw_only=True)
class Brought:
    """Where the source, the samples and the examples of a job lie on this machine."""

    source: Path
    samples: tuple[Path, ...]
    examples: Path | None  # a folder, or a table


def bring(
    request: InspectionRequest,
    job_id: str,
    *,
    client: redis.Redis,
    workdir: Path,
    settings: Settings,
) -> Brought:
    """Find what the request names under the sources roots, or fetch what was uploaded; unpack it.

    Raises `SourceError` for names that are not there and for archives that are damaged, and
    `InvalidRequestError` where the upload is gone.
    """
    # Sentences call what was sent like this folder, whose name is therefore none of ours.
    called = request.name if isinstance(request, FreezeRequest) else _CALLED
    upload = workdir / "sent" / called
    upload.mkdir(parents=True)
    uploaded = fetch_files(client, job_id, upload)
    folder = upload / SAMPLES_FOLDER
    sent = sorted(path for path in uploaded if path.is_relative_to(folder))
    samples = [workdir / "samples" / path.relative_to(folder) for path in sent]
    if sent:
        folder.rename(workdir / "samples")
    examples = None
    if any(path.is_relative_to(upload / EXAMPLES_FOLDER) for path in uploaded):
        examples = (upload / EXAMPLES_FOLDER).rename(workdir / "examples")
    source = upload
    if request.source is not None:
        source = find_source(request.source, settings.source_roots)
    source = unpacked(source, workdir / "unpacked", ArchiveLimits.of(settings))
    if isinstance(request, FreezeRequest):
        samples += [find_file(name, settings.source_roots) for name in request.samples]
        if request.examples is not None:
            examples = find_source(request.examples, settings.source_roots)
    if examples is not None:
        examples = unpacked(examples, workdir / "unpacked-examples", ArchiveLimits.of(settings))
    return Brought(source=source, samples=tuple(samples), examples=examples)
