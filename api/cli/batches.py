"""`results` and `retry`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from api.cli.following import follow
from api.cli.options import AsJson, Bom, Server, connect
from api.cli.outcome import ExitCode, reported
from api.cli.program import PROGRAM
from api.cli.results import Row, check_output
from api.cli.text import printable
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

    tally = Tally()
    with reported(as_json=as_json):
        if output is not None:
            check_output(output)
        with connect(server) as client:
            job = client.job(job_id)
            if job["kind"] == "batch":
                ended = job["status"] not in {"queued", "running"}
                found = client.results(job_id, status=status, order="path" if ended else None)
                rows: Iterator[Row] = map(Row.of_batch, found)
            elif job["kind"] == "prediction":
                rows = iter([Row.of_job(str(job["id"]), job)] if job.get("finished_at") else [])
            else:
                raise InvalidRequestError(
                    f"Job {printable(job['id'])} is a {printable(job['kind'])} and classifies "
                    f"nothing: `{PROGRAM} jobs {printable(job['id'])}` shows what it gave."
                )
            pass_on(rows, tally, output, bom=bom, as_json=as_json)
    if not as_json:
        show_results(tally)
    summary(tally, skipped=0, seconds=None, output=output)
    if job["status"] in {"queued", "running"}:
        message(f"Job {printable(job['id'])} is still {printable(job['status'])}.", style="yellow")
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

    with reported(as_json=as_json), connect(server) as client:
        job = client.retry(job_id)
        if wait:
            job = follow(client, job, as_json=as_json)
    if as_json:
        write_json(job)
    elif not wait:
        message(f"Batch {printable(job['id'])}: its failed images are tried again.")
