"""`classify`: one row for every image below the paths that are named.

A few files are predictions, which answer fastest; a folder or many files are one batch.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.batch_run import BatchRequest, BatchRun
from api.cli.exit_status import ExitCode, exit_code, fail, reported
from api.cli.options import AsJson, Bom, Server, Webhook, connect
from api.cli.predictions import Predictions
from api.cli.program import PROGRAM, as_typed_here
from api.cli.results_table import check_output, write_results
from api.cli.survey import check, survey
from api.client import DEFAULT_SERVER
from api.client.images import walk
from api.client.uploads import path_text
from worker.errors import InvalidRequestError, NotFoundError, PermafrostError
from worker.formatting import counted

if TYPE_CHECKING:
    from api.cli.command_client import CommandClient

MOST_PREDICTIONS = 8  # files that are sent one by one; more are a batch, and so is any folder

_PATIENCE_S = 120.0  # how long one image may wait for a busy server, before it fails
_BATCH_PATIENCE_S = 900.0  # how long one request of a batch may: workers have to make room first


def classify(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Photographs or folders; - reads one from standard input."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME[@VERSION|@ALIAS]",
            help="The model; may be left out where the server has only one.",
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "--top", min=1, help="Most labels per image; more than there are classes means all."
        ),
    ] = 5,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Results as a .csv or .jsonl file."),
    ] = None,
    new: Annotated[
        bool,
        typer.Option("--new", help="Classify again what a finished batch has the results of."),
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try the failed images of a finished batch again.")
    ] = False,
    bom: Bom = False,
    webhook: Webhook = None,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Classify photographs: files, and folders with everything below them.

    A folder, or more than 8 files, becomes a batch. Stopped in the middle,
    the same command continues it and sends only what is missing. Once it has
    ended, the same command gives its results again, unless a file, the model
    or --top has changed since; --new starts another.
    """
    with reported():
        if output is not None:
            check_output(output)
        check(paths)
    if len(paths) > MOST_PREDICTIONS or any(map(os.path.isdir, paths)):
        _batch(
            *(paths, model, top, output),
            new=new,
            retry=retry,
            bom=bom,
            webhook=webhook,
            server=server,
            as_json=as_json,
        )
    else:
        _predictions(
            *(paths, model, top, output), bom=bom, webhook=webhook, server=server, as_json=as_json
        )


def _predictions(
    paths: list[str],
    model: str | None,
    top: int,
    output: Path | None,
    *,
    bom: bool,
    webhook: str | None,
    server: str,
    as_json: bool,
) -> None:
    from api.cli.results_view import Tally, show_results, summary  # noqa: PLC0415 - imports rich

    with reported(interrupted="Stopped; nothing was written." if output else "Stopped."):
        started = time.monotonic()
        with connect(server, retry_for_s=_PATIENCE_S) as client:
            run = Predictions(
                client,
                model=chosen_model(client, model),
                top=top,
                webhook=webhook,
                as_json=as_json,
            )
            rows, ended = run.rows(list(walk(paths)))
        if output is not None:
            write_results(output, rows, bom=bom)
    tally = Tally()
    for row in rows:
        tally.add(row)
    if not as_json:
        show_results(tally)
    summary(tally, skipped=0, seconds=time.monotonic() - started, output=output)
    if ended is not None:
        fail(ended.message)
        raise typer.Exit(exit_code(ended))
    if tally.failed:
        raise typer.Exit(ExitCode.FAILED)


def _batch(
    paths: list[str],
    model: str | None,
    top: int,
    output: Path | None,
    *,
    new: bool,
    retry: bool,
    bom: bool,
    webhook: str | None,
    server: str,
    as_json: bool,
) -> None:
    from api.cli.progress import BatchProgressBars  # noqa: PLC0415 - imports rich
    from api.cli.results_view import (  # noqa: PLC0415 - imports rich
        Tally,
        pass_on,
        show_results,
        summary,
    )

    run: BatchRun | None = None
    tally = Tally()
    with reported(interrupted=lambda: run.left_alone() if run else "Stopped; nothing was sent."):
        found = survey(paths)
        if not found.images and not found.problems:
            raise InvalidRequestError(
                f"There are no images in {', '.join(map(path_text, paths))}"
                + (f" ({counted(found.skipped, 'other file')})." if found.skipped else ".")
            )
        started = time.monotonic()
        with connect(server, retry_for_s=_BATCH_PATIENCE_S) as client:
            wanted = BatchRequest(
                paths=paths,
                survey=found,
                model=chosen_model(client, model),
                top=top,
                new=new,
                retry=retry,
                webhook=webhook,
            )
            with BatchProgressBars(as_json=as_json) as shown:
                run = BatchRun(client, wanted, shown, server=server)
                job = run.job()
            if job and job.status == "failed" and not run.problems:
                raise BatchFailedError(job.error.message if job.error else "The batch failed.")
            seconds = None if run.reused else time.monotonic() - started
            pass_on(run.rows(), tally, output, bom=bom, as_json=as_json)
    if not as_json:
        show_results(tally)
    skipped = job.progress.skipped if job and run.by_server else found.skipped
    summary(tally, skipped=skipped, seconds=seconds, output=output, retried=run.retried)
    if job and job.status == "cancelled":
        fail(f"Batch {job.id} was cancelled before all images were classified.")
    if tally.failed or (job and job.status == "cancelled"):
        raise typer.Exit(ExitCode.FAILED)


class BatchFailedError(PermafrostError):
    """Nothing of a batch could be done."""

    code = "batch_failed"


def chosen_model(client: "CommandClient", asked: str | None) -> str:
    """Return the model to ask for as `NAME@VERSION`, so that all images get the same version.

    What is assumed of how it prepares images is told on standard error. Raises
    `InvalidRequestError` where `asked` is None and the server has not exactly one model.
    """
    from api.cli.output import message  # noqa: PLC0415 - imports rich

    if asked is None:
        models = client.models()
        if not models:
            raise NotFoundError(
                f"This server has no model yet: make one with `{PROGRAM} freeze SOURCE "
                "--name NAME`."
            )
        if len(models) > 1:
            names = ", ".join(model.name for model in models)
            raise InvalidRequestError(f"Name one of the server's models with --model: {names}.")
        asked = models[0].name
    name, _, which = asked.partition("@")
    model = client.model(name)
    version = model.aliases.get(which or "stable")
    number = which if version is None else str(version)
    for found in model.versions:
        if str(found.version) == number and found.assumption:
            message(as_typed_here(found.assumption), style="yellow")
    return asked if version is None else f"{name}@{version}"
