"""`jobs` and `cancel`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli.exit_status import check_succeeded, reported
from api.cli.following import follow
from api.cli.options import AsJson, Server, connect
from api.client import DEFAULT_SERVER
from worker.formatting import age

if TYPE_CHECKING:
    from api.cli.command_client import CommandClient
    from api.client.reading import JobBasePage
    from worker.contract.image_jobs import JobBase

_PAGE = 200  # most jobs that a server gives at once

Kind = Literal["prediction", "batch", "freeze", "inspection", "comparison"]
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]


def jobs(
    job_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Show this job in full.")
    ] = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only jobs of this kind.")] = None,
    status: Annotated[
        Status | None, typer.Option("--status", help="Only jobs in this state.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most jobs to list.")] = 20,
    wait: Annotated[bool, typer.Option("--wait", help="Follow job ID to its end.")] = False,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """List the newest jobs, or show one."""
    from api.cli.job_view import show_job  # noqa: PLC0415 - imports rich
    from api.cli.output import console, write_json  # noqa: PLC0415 - imports rich
    from api.client import document  # noqa: PLC0415 - imports httpx

    with reported(as_json=as_json), connect(server) as client:
        if job_id is None:
            page = newest(client, kind=kind, status=status, limit=limit)
            if as_json:
                write_json({"jobs": [document(job) for job in page.jobs], "next": page.next})
            else:
                _show_jobs(page.jobs)
            return
        job = client.job(job_id)
        if wait:
            job = follow(client, job, as_json=as_json)
        if as_json:
            write_json(document(job))
        else:
            show_job(console(), job, server=client.server)
    if wait:
        check_succeeded(job)


def cancel(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job to cancel.")],
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Cancel a job; what is finished of it stays."""
    from api.cli.output import message, write_json  # noqa: PLC0415 - imports rich
    from api.client import document  # noqa: PLC0415 - imports httpx

    with reported(as_json=as_json), connect(server) as client:
        job = client.cancel(job_id)
    if as_json:
        write_json(document(job))
    else:
        had_ended = "is" if job.status == "cancelled" else "had ended before:"
        message(f"Job {job.id} {had_ended} {job.status}.")


def newest(
    client: "CommandClient", *, kind: str | None, status: str | None, limit: int
) -> "JobBasePage":
    """Return the newest jobs, of several pages, as one."""
    page = client.job_page(kind=kind, status=status, limit=min(limit, _PAGE))
    found = page.jobs
    while page.jobs and page.next is not None and len(found) < limit:
        left = min(limit - len(found), _PAGE)
        page = client.job_page(kind=kind, status=status, cursor=page.next, limit=left)
        found = found + page.jobs
    return replace(page, jobs=found[:limit])


def _show_jobs(found: "Sequence[JobBase]") -> None:
    from api.cli.job_view import (  # noqa: PLC0415 - imports rich
        elapsed,
        left_text,
        model_text,
        progress_text,
    )
    from api.cli.output import (  # noqa: PLC0415 - imports rich
        Column,
        console,
        message,
        status_text,
        table,
    )

    if not found:
        message("There are no such jobs.")
        return
    columns = (
        Column(title="job"),
        Column(title="kind"),
        Column(title="status"),
        Column(title="model", wide=True),
        Column(title="done", justify="right"),
        Column(title="created", justify="right"),
        Column(title="took", justify="right"),
    )
    rows = [
        (
            job.id,
            job.kind,
            status_text(job.status),
            model_text(job),
            progress_text(job),
            age(job.created_at),
            left_text(job) or elapsed(job),
        )
        for job in found
    ]
    table(console(), columns, rows)
