"""Follows a job to its end, and sends the sources that jobs begin with."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from api.cli.outcome import reported
from api.cli.program import PROGRAM
from api.cli.text import counted, path_text, printable, size

if TYPE_CHECKING:
    from api.client import Client, Json, LocalFile

_MOST_NAMES = 10  # of files that were sent
PATIENCE_S = 60.0  # how long a busy or restarting server may keep a followed job waiting


def submit_source(
    client: "Client",
    kind: Literal["freeze", "inspection"],
    source: str,
    options: "Json",
    *,
    samples: Sequence[Path] = (),
    examples: Sequence["LocalFile"] = (),
    as_json: bool,
) -> "Json":
    """Submit a freeze or an inspection and return its job.

    What lies on this machine is uploaded; any other source is a path on the server. `samples` are
    images to verify with and `examples` pictures whose label is known, of this machine.
    """
    from api.cli.output import message  # noqa: PLC0415 - imports rich
    from api.cli.progress import upload_progress  # noqa: PLC0415 - imports rich
    from api.cli.sources import local_source  # noqa: PLC0415 - reads settings
    from api.client import LocalFile  # noqa: PLC0415 - imports httpx

    chosen = options.get("checkpoint")
    if chosen and Path(source).is_dir():  # only that one is sent
        options = {key: value for key, value in options.items() if key != "checkpoint"}
    found = local_source(source, chosen)
    images = [LocalFile(path=path, name=path.name, is_sample=True) for path in samples]
    images += examples
    if found is None:
        message(
            f"{path_text(source)} is not on this machine; "
            "the server looks for it below its sources folder."
        )
        options = {"source": path_text(source), **options}
        if kind == "inspection":
            return client.inspect_path(options)
        return client.freeze_upload(images, options) if images else client.freeze_path(options)
    for warning in found.warnings:
        message(warning)
    files = [LocalFile(path=path, name=name) for name, path in found.named()] + images
    total = sum(file.path.stat().st_size for file in files if file.path.is_file())
    with upload_progress(as_json=as_json) as progress:
        task = progress.add_task("Sending", total=total)

        def sent(count: int) -> None:
            progress.advance(task, count)

        send = client.inspect_upload if kind == "inspection" else client.freeze_upload
        job = send(files, options, on_sent=sent)
    message(f"Sent {_named(files)}, {size(total)}.")
    return job


def _named(files: "Sequence[LocalFile]") -> str:
    """Return what was sent, by name."""
    names = ", ".join(printable(path_text(file.name)) for file in files[:_MOST_NAMES])
    if len(files) == 1:
        return names
    more = ", ..." if len(files) > _MOST_NAMES else ""
    return f"{counted(len(files), 'file')} ({names}{more})"


def follow(client: "Client", job: "Json", *, as_json: bool) -> "Json":
    """Return the job once it has ended, telling its log lines as they come."""
    from api.cli.output import message  # noqa: PLC0415 - imports rich
    from api.cli.progress import BatchProgress, job_progress  # noqa: PLC0415 - imports rich

    message(f"Job {printable(job['id'])}")
    left_alone = (
        f"The job goes on: `{PROGRAM} jobs {printable(job['id'])}` shows it, "
        f"`{PROGRAM} cancel {printable(job['id'])}` stops it."
    )
    if job.get("kind") == "batch":
        with (
            reported(as_json=as_json, interrupted=left_alone),
            BatchProgress(as_json=as_json) as bars,
        ):
            return client.wait_for(job, bars.update)
    with reported(as_json=as_json, interrupted=left_alone), job_progress(as_json=as_json) as shown:
        task = shown.add_task(str(job["status"]), total=None)
        new_lines = _log_reader()

        def update(state: dict[str, Any]) -> None:
            lines = new_lines(state)
            for line in lines:
                message(f"  {line}")
            step = printable(lines[-1]) if lines else None
            shown.update(task, description=step or f"{state['status']} ...")

        return client.wait_for(job, update)


def _log_reader() -> "Callable[[Json], list[str]]":
    """Return a function that gives those lines of a job's log that it has not given before."""
    given: list[str] = []

    def read(job: "Json") -> list[str]:
        log = [str(line) for line in job.get("log") or []]
        new = log[len(given) :] if log[: len(given)] == given else log
        given[:] = log
        return new

    return read
