"""`inspect`: what is in a source, and what to freeze of it."""

from typing import Annotated, Any

import typer

from api.cli.following import PATIENCE_S, follow, submit_source
from api.cli.options import (
    AsJson,
    Checkpoint,
    Server,
    Signature,
    Webhook,
    again,
    connect,
)
from api.cli.outcome import ExitCode, fail, reported
from api.cli.text import printable
from api.client import DEFAULT_SERVER


def inspect(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The same forms as `freeze` takes.")
    ],
    signature: Signature = None,
    checkpoint: Checkpoint = None,
    webhook: Webhook = None,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Say what is in a trained model, and what to freeze. Nothing of it is run."""
    from api.cli.basis_view import show_choices  # noqa: PLC0415 - imports rich
    from api.cli.inspection_report import freeze_words, show_inspection  # noqa: PLC0415 - rich
    from api.cli.output import console, write_json  # noqa: PLC0415 - imports rich

    given = {"signature": signature, "checkpoint": checkpoint}
    options = {field: value for field, value in given.items() if value}
    with reported(as_json=as_json), connect(server, patience_s=PATIENCE_S) as client:
        asked = {**options, "webhook": webhook} if webhook else options
        job: dict[str, Any] = submit_source(client, "inspection", source, asked, as_json=as_json)
        job = follow(client, job, as_json=as_json)
    if as_json:
        write_json(job)
    if job["status"] != "succeeded":
        fail((job.get("error") or {}).get("message") or f"The job was {printable(job['status'])}.")
        raise typer.Exit(ExitCode.FAILED)
    if not as_json:
        out = console()
        show_inspection(out, job["result"])
        advice = job["result"].get("freeze") or {}
        if advice.get("body"):
            body = {**advice["body"], **options}
            clear = (job["result"].get("choice") or {}).get("clear")
            title = "Freeze it" if clear else "Freeze it, for instance"
            title = title if advice.get("ready") else "Freeze it, once that is settled"
            out.print(f"\n{title}: {again(freeze_words(source, body), server)}", soft_wrap=True)
            meant = (job["result"].get("preprocessing") or {}).get("choices") or []
            if meant:
                out.print("\nHow images are prepared is partly assumed.")
            said = [{**body, "preprocessing": choice.get("preprocessing")} for choice in meant]
            words = [freeze_words(source, one) for one in said]
            show_choices(
                out,
                [{**one, "command": command} for one, command in zip(meant, words, strict=True)],
                server,
            )
