"""The client commands of `permafrost`.

A person sees progress and tables; a script gives `--json` and reads standard output, which then
holds JSON and nothing else. Messages go to standard error. Exit codes are in `outcome`.

The modules here import httpx and rich only when a command runs, so that `--help` is quick.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import typer

from api.cli import batches, classify, comparing, freeze, inspect, jobs, keys, models, workers
from api.cli.options import shared

app = typer.Typer(
    help="Freeze trained models and classify images with them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


for _command in (
    classify.classify,
    freeze.freeze,
    inspect.inspect,
    jobs.jobs,
    jobs.cancel,
    models.models,
    workers.workers,
    batches.results,
    batches.retry,
):
    app.command()(_command)
app.command("try")(comparing.compare)
app.add_typer(keys.app, name="keys")


def main(keys_of: Callable[[Path], AbstractContextManager[keys.Keys]] | None = None) -> None:
    """Run the client commands; `keys_of` opens the API keys of a data folder of this machine."""
    app.callback()(shared)  # not above, because a program with more commands has its own
    app(prog_name="permafrost", obj=keys_of)
