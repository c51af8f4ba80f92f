"""Follows a job to its end, and sends the sources that jobs begin with."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from api.cli.escaping import escaped
from api.cli.exit_status import reported
from api.cli.program import PROGRAM
from api.client.uploads import path_text
from worker.errors import InvalidRequestError
from worker.formatting import counted, size

if TYPE_CHECKING:
    from api.cli.command_client import CommandClient
    from api.client import Json, LocalFile
    from worker.contract.image_jobs import JobBase

JobT = TypeVar("JobT", bound="JobBase")

_MOST_NAMES = 10  # of files that were sent
PATIENCE_S = 60.0  # how long a busy or restarting server may keep a followed job waiting


def submit_source(
    send: "Callable[..., JobT]",
    source: str,
    options: "Json",
    *,
    samples: Sequence[Path] = (),
    examples: Sequence["LocalFile"] = (),
    as_json: bool,
) -> "JobT":
    """Submit a source with `send`, which takes files and options, and return the job.

    What lies on this machine is uploaded; any other source is a path on the server. `samples` are
    images to verify with and `examples` pictures whose label is known, of this machine.
    """
    from api.cli.output import message  # noqa: PLC0415 - imports rich
    from api.cli.progress import upload_progress  # noqa: PLC0415 - imports rich
    from api.client import LocalFile  # noqa: PLC0415
    from api.client.sources import is_here, local_source  # noqa: PLC0415

    chosen = options.get("checkpoint")
    if chosen and Path(source).is_dir():  # only that one is sent
        options = {key: value for key, value in options.items() if key != "checkpoint"}
    images = [LocalFile(path=path, name=path.name, is_sample=True) for path in samples]
    images += examples
    if not is_here(Path(source)):
        check_may_be_on_server(source)
        message(
            f"{path_text(source)} is not on this machine; "
            "the server looks for it below its sources folder."
        )
        return send(images, {"source": path_text(source), **options})
    found = local_source(Path(source), chosen)
    for warning in found.warnings:
        message(warning)
    files = [LocalFile(path=path, name=name) for name, path in found.named()] + images
    total = sum(file.path.stat().st_size for file in files if file.path.is_file())
    with upload_progress(as_json=as_json) as progress:
        task = progress.add_task("Sending", total=total)

        def sent(count: int) -> None:
            progress.advance(task, count)

        job = send(files, options, on_sent=sent)
    message(f"Sent {_named(files)}, {size(total)}.")
    return job


def check_may_be_on_server(source: str) -> None:
    """Raise `InvalidRequestError` where a path that is not here can only have been meant here."""
    path = Path(source)
    if path.is_absolute() or source.startswith(("./", "~")) or ".." in path.parts:
        raise InvalidRequestError(
            f"There is no file, folder or checkpoint {path_text(source)} on this machine. What is "
            "on the server is named as it lies below its sources folder, for instance "
            f"{path_text(path.name or source)}."
        )


def _named(files: "Sequence[LocalFile]") -> str:
    """Return what was sent, by name."""
    names = ", ".join(escaped(path_text(file.name)) for file in files[:_MOST_NAMES])
    if len(files) == 1:
        return names
    more = ", ..." if len(files) > _MOST_NAMES else ""
    return f"{counted(len(files), 'file')} ({names}{more})"


def follow(client: "CommandClient", job: "JobT", *, as_json: bool) -> "JobT":
    """Return the job once it has ended, telling its log lines as they come."""
    from api.cli.output import message  # noqa: PLC0415 - imports rich
    from api.cli.progress import BatchProgressBars, job_progress  # noqa: PLC0415 - imports rich
    from api.client.operations.jobs import new_lines  # noqa: PLC0415 - imports httpx
    from worker.contract.image_jobs import BatchJob, LoggedJob  # noqa: PLC0415 - imports pydantic

    message(f"Job {job.id}")
    left_alone = (
        f"The job goes on: `{PROGRAM} jobs {job.id}` shows it, "
        f"`{PROGRAM} cancel {job.id}` stops it."
    )
    last = job
    with reported(as_json=as_json, interrupted=left_alone):
        if isinstance(job, BatchJob):
            with BatchProgressBars(as_json=as_json) as bars:
                for last in client.states(job):
                    bars.update(last)
            return last
        with job_progress(as_json=as_json) as shown:
            task = shown.add_task(job.status, total=None)
            read_new = new_lines()
            for last in client.states(job):
                lines = read_new(last.log or []) if isinstance(last, LoggedJob) else []
                for line in lines:
                    message(f"  {line}")
                step = escaped(lines[-1]) if lines else f"{last.status} ..."
                shown.update(task, description=step)
    return last
