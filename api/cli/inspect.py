"""`inspect`: what is in a source, and what to freeze of it."""

from typing import Annotated, Any

import typer

from api.cli.following import PATIENCE_S, follow, submit_source
from api.cli.options import DEFAULT_SERVER, AsJson, Server, connect
from api.cli.outcome import ExitCode, fail, reported
from api.cli.text import printable


def inspect(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The same forms as `freeze` takes.")
    ],
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Say what is in a trained model, and what to freeze."""
    from api.cli.job_view import show_result  # noqa: PLC0415 - imports rich
    from api.cli.output import console, write_json  # noqa: PLC0415 - imports rich

    with reported(as_json=as_json), connect(server, patience_s=PATIENCE_S) as client:
        job: dict[str, Any] = submit_source(client, source, None, as_json=as_json)
        job = follow(client, job, as_json=as_json)
    if as_json:
        write_json(job)
    if job["status"] != "succeeded":
        fail((job.get("error") or {}).get("message") or f"The job was {printable(job['status'])}.")
        raise typer.Exit(ExitCode.FAILED)
    if not as_json:
        show_result(console(), job)
