"""The client commands of `./permafrost`.

A person sees progress and tables; a script gives `--json` and reads standard output, which then
holds JSON and nothing else. Messages go to standard error. Exit codes are in `outcome`.

The modules here import httpx and rich only when a command runs, so that `--help` is quick.
"""

import typer

from api.cli import batches, classify, comparing, freeze, inspect, jobs, keys, models, workers

app = typer.Typer(
    help="Freeze trained models and classify images with them.",
    no_args_is_help=True,
    add_completion=False,
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
