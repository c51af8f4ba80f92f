"""`inspect`: what is in a source, and what to freeze of it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.exit_status import check_succeeded, reported
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
from api.client import DEFAULT_SERVER

if TYPE_CHECKING:
    from worker.models.inspection import Inspection


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
    from api.cli.output import write_json  # noqa: PLC0415 - imports rich
    from api.client import document  # noqa: PLC0415 - imports httpx

    given = {"signature": signature, "checkpoint": checkpoint}
    options = {field: value for field, value in given.items() if value}
    with reported(as_json=as_json):
        with connect(server, retry_for_s=PATIENCE_S) as client:
            asked = {**options, "webhook": webhook} if webhook else options
            job = submit_source(client.inspect_files, source, asked, as_json=as_json)
            job = follow(client, job, as_json=as_json)
        if as_json:
            write_json(document(job))
        check_succeeded(job)
        if job.result and not as_json:
            _show(job.result, source, options, server)


def _show(found: "Inspection", source: str, options: dict[str, Any], server: str) -> None:
    """Print what was found, and the freeze to make."""
    from api.cli.basis_view import show_choices  # noqa: PLC0415 - imports rich
    from api.cli.inspection_report import freeze_words, show_inspection  # noqa: PLC0415 - rich
    from api.cli.output import console  # noqa: PLC0415 - imports rich

    out = console()
    show_inspection(out, found)
    if not found.freeze.body:
        return
    body = {**found.freeze.body, **options}
    title = "Freeze it" if found.choice.clear else "Freeze it, for instance"
    title = title if found.freeze.ready else "Freeze it, once that is settled"
    out.print(f"\n{title}: {again(freeze_words(source, body), server)}", soft_wrap=True)
    meant = found.preprocessing.choices
    if meant:
        out.print("\nHow images are prepared is partly assumed.")
    commands = (freeze_words(source, {**body, "preprocessing": one.preprocessing}) for one in meant)
    show_choices(out, zip((one.reason for one in meant), commands, strict=True), server)
