"""`try`: what a model answers where images are prepared otherwise."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.exit_status import check_succeeded, reported
from api.cli.following import PATIENCE_S, follow
from api.cli.options import AsJson, Server, Webhook, again, connect
from api.client import DEFAULT_SERVER


def compare(
    model: Annotated[
        str, typer.Argument(metavar="MODEL[@VERSION|@ALIAS]", help="A published model.")
    ],
    images: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Up to eight photographs.")],
    top: Annotated[int, typer.Option("--top", min=1, help="Most labels per image.")] = 1,
    webhook: Webhook = None,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Show a model's answers under each way of preparing images that may be meant."""
    from api.cli.comparison_report import show_comparison  # noqa: PLC0415 - imports rich
    from api.cli.output import console, write_json  # noqa: PLC0415 - imports rich
    from api.client import document  # noqa: PLC0415 - imports httpx

    with reported(as_json=as_json), connect(server, retry_for_s=PATIENCE_S) as client:
        job = client.compare(model, images, top=top, webhook=webhook)
        job = follow(client, job, as_json=as_json)
    if as_json:
        write_json(document(job))
    check_succeeded(job)
    if job.result and not as_json:
        show_comparison(console(), job.result, lambda command: again(command, server))
