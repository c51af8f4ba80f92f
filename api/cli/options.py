"""The options that every client command takes, and the client that they make."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import program
from api.client import DEFAULT_SERVER
from worker.version import VERSION

if TYPE_CHECKING:
    from api.cli.command_client import CommandClient

_PATIENCE_S = 10.0  # how long a busy server may keep a person waiting for a table

Server = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="URL",
        envvar="PERMAFROST_URL",
        help="The server to talk to.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Write JSON to standard output, messages to standard error.")
]

Webhook = Annotated[
    str | None,
    typer.Option(
        "--webhook",
        metavar="URL",
        help="An address that the server tells when the job has ended.",
    ),
]

Signature = Annotated[
    str | None,
    typer.Option("--signature", metavar="NAME", help="Which signature of a SavedModel."),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        metavar="PREFIX",
        help="Which checkpoint or model file, where the source holds several.",
    ),
]


def connect(server: str, *, retry_for_s: float = _PATIENCE_S) -> "CommandClient":
    """Return a client of the server. Its waits for a busy server are told on standard error."""
    from api.cli.command_client import CommandClient  # noqa: PLC0415 - imports httpx: not for --help
    from api.cli.output import message  # noqa: PLC0415 - imports rich

    told: list[str] = []

    def tell_once(sentence: str) -> None:
        if not told:
            told.append(sentence)
            message(sentence)

    return CommandClient(server, retry_for_s=retry_for_s, on_retry=tell_once)


def show_version(asked: bool) -> None:
    """Print the version and end, where that is asked for."""
    if asked:
        print(f"permafrost {VERSION}")
        raise typer.Exit


Bom = Annotated[
    bool, typer.Option("--bom", help="Begin a .csv so that spreadsheets take it for UTF-8.")
]


def shared(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Take the options of the program itself."""


def again(command: str, server: str) -> str:
    """Return a command to try next, naming the server where it is not the default one."""
    return program.command(command) + ("" if server == DEFAULT_SERVER else f" --server {server}")
