"""The program behind `./permafrost`: `up`, `test`, `bench`; client commands from `api.cli`."""

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from api.cli import app as client
from api.cli.options import shared
from worker.errors import InvalidRequestError, PermafrostError

if TYPE_CHECKING:
    from api.cli.local_keys import LocalKeys

ROOT = Path(__file__).resolve().parents[1]

app = typer.Typer(
    name="permafrost",
    help="Freezes trained TensorFlow models and classifies images with them, through a queue.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


app.callback(help=app.info.help)(shared)


@app.command()
def up(
    host: Annotated[
        str,
        typer.Option(
            envvar="PERMAFROST_HOST",
            metavar="ADDRESS",
            help="Address to listen at; 0.0.0.0 lets other machines in.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        str, typer.Option(envvar="PORT", metavar="NUMBER", help="Port to listen at.")
    ] = "8000",
    data: Annotated[
        Path,
        typer.Option(
            envvar="PERMAFROST_DATA",
            metavar="FOLDER",
            help="Folder for models, jobs and logs; made if it is not there.",
        ),
    ] = Path("data"),
    workers: Annotated[
        str | None,
        typer.Option(
            envvar="PERMAFROST_WORKERS",
            metavar="NUMBER",
            help="Processes that classify images; each holds its own copy of a graph.",
            show_default="one per core",
        ),
    ] = None,
    no_demo: Annotated[
        bool,
        typer.Option(
            "--no-demo",
            envvar="PERMAFROST_NO_DEMO",
            help="Do not freeze the demo model that tells cats from dogs.",
        ),
    ] = False,
    open_: Annotated[
        bool,
        typer.Option(
            "--open",
            envvar="PERMAFROST_OPEN",
            help="Let in everybody who reaches the address, without an API key.",
        ),
    ] = False,
) -> None:
    """Run the whole system on this machine, until Ctrl-C.

    Starts Redis (unless REDIS_URL names one), the API with its page, a worker
    that classifies and a worker that freezes, and starts again whichever dies.
    """
    from deploy.local import options as given  # noqa: PLC0415 - client commands start without it
    from deploy.local.up import up as run  # noqa: PLC0415

    options = given.Options(
        host=given.parse_host(host),
        port=given.parse_port(port),
        data=Path(os.path.abspath(data.expanduser())),  # noqa: PTH100 - links stay as given
        workers=given.parse_workers(workers) if workers else given.usable_cores(),
        web_concurrency=given.parse_web_concurrency(os.environ.get("WEB_CONCURRENCY") or "2"),
        demo=not no_demo,
        open=open_,
    )
    raise typer.Exit(run(options))


webhooks = typer.Typer(help="What this machine's webhooks are signed with.", no_args_is_help=True)
app.add_typer(webhooks, name="webhooks")


@webhooks.command()
def secret(
    data: Annotated[
        Path,
        typer.Option(
            envvar="PERMAFROST_DATA", metavar="FOLDER", help="The data folder of the system."
        ),
    ] = Path("data"),
    new: Annotated[
        bool,
        typer.Option(
            "--new", help="Make another one. Until the next --new, webhooks carry both signatures."
        ),
    ] = False,
) -> None:
    """Print the secret that webhooks are signed with, and make it where there is none.

    Give it to whoever receives webhooks. It takes effect at once.
    """
    from worker.settings import read_settings  # noqa: PLC0415 - client commands start without it
    from worker.webhooks.signatures import known_secrets, make_secret  # noqa: PLC0415

    folder = Path(os.path.abspath(data.expanduser()))  # noqa: PTH100 - links stay as given
    settings = read_settings(data=folder)
    if settings.webhook_secret.get_secret_value():
        if new:
            raise InvalidRequestError(
                "PERMAFROST_WEBHOOK_SECRET gives the secret: change it there."
            )
        print(known_secrets(settings)[0])
        return
    print(make_secret(settings, renew=new)[0])


class _Verbatim(TyperCommand):
    """A command whose arguments are left alone, `--` and unknown options included."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args == ["--help"]:
            return super().parse_args(ctx, args)
        ctx.args = args
        return args


@app.command(cls=_Verbatim, options_metavar="[PYTEST ARGUMENT]...")
def test(context: typer.Context) -> None:
    """Run the tests: all of them, or what the arguments for pytest select."""
    from deploy.testing import run_tests  # noqa: PLC0415 - no other command needs it

    raise typer.Exit(run_tests(ROOT, context.args))


@app.command(cls=_Verbatim, options_metavar="[OPTION]...")
def bench(context: typer.Context) -> None:
    """Measure this system and its peers side by side (`-h` shows the options).

    The peers get an environment of their own at the first use: about 1 GB is downloaded.
    """
    from deploy.benchmarks import run_benchmarks  # noqa: PLC0415 - no other command needs it

    raise typer.Exit(run_benchmarks(ROOT, context.args))


app.add_typer(client)


def _keys_of(data: Path) -> AbstractContextManager["LocalKeys"]:
    """Open `keys` of a data folder, whose Redis is started for a moment where `up` does not run."""
    from api.cli.local_keys import LocalKeys  # noqa: PLC0415 - no other command needs it
    from deploy.local.temporary_redis import redis_of  # noqa: PLC0415

    return LocalKeys.of(data, redis_of)


def main() -> None:
    """Run the command line; an error that was foreseen is one sentence and exit code 1."""
    try:
        app(prog_name="permafrost", obj=_keys_of)
    except PermafrostError as error:
        print(f"permafrost: {error.message}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
