"""`results` and `retry`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from api.cli.exit_status import ExitCode, reported
from api.cli.following import follow
from api.cli.options import AsJson, Bom, Server, connect
from api.cli.program import PROGRAM
from api.cli.results_table import Row, check_output
from api.client import DEFAULT_SERVER
from worker.errors import InvalidRequestError

Status = Literal["succeeded", "failed"]


def results(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The batch, or the prediction.")],
    status: Annotated[
        Status | None, typer.Option("--status", help="Only images of which this became.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Results as a .csv or .jsonl file."),
    ] = None,
    bom: Bom = False,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Give the results of a job again; of a batch that still runs, those so far."""
    from api.cli.output import message  # noqa: PLC0415 - imports rich
    from api.cli.results_view import Tally, pass_on, show_results, summary  # noqa: PLC0415
    from worker.contract.image_jobs import BatchJob, PredictionJob  # noqa: PLC0415 - pydantic

    tally = Tally()
    with reported(as_json=as_json):
        if output is not None:
            check_output(output)
        with connect(server) as client:
            job = client.job(job_id)
            if isinstance(job, BatchJob):
                order: Literal["path"] | None = "path" if job.status.ended else None
                found = client.results(job_id, status=status, order=order)
                rows: Iterator[Row] = map(Row.of_batch, found)
            elif isinstance(job, PredictionJob):
                rows = iter([Row.of_job(job.id, job)] if job.status.ended else [])
            else:
                raise InvalidRequestError(
                    f"Job {job.id} is a {job.kind} and classifies nothing: "
                    f"`{PROGRAM} jobs {job.id}` shows what it gave."
                )
            pass_on(rows, tally, output, bom=bom, as_json=as_json)
    if not as_json:
        show_results(tally)
    summary(tally, skipped=0, seconds=None, output=output)
    if not job.status.ended:
        message(f"Job {job.id} is still {job.status}.", style="yellow")
    if tally.failed:
        raise typer.Exit(ExitCode.FAILED)


def retry(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The batch.")],
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Try the failed images of a batch that has ended again."""
    from api.cli.output import message, write_json  # noqa: PLC0415 - imports rich
    from api.client import document  # noqa: PLC0415 - imports httpx

    with reported(as_json=as_json), connect(server) as client:
        job = client.retry(job_id)
        if wait:
            job = follow(client, job, as_json=as_json)
    if as_json:
        write_json(document(job))
    elif not wait:
        message(f"Batch {job.id}: its failed images are tried again.")
