"""`keys`: who may use the API, and for what.

Whoever can use the data folder, or the Redis that REDIS_URL names, runs the server and needs no
key to make one. With `--server`, or PERMAFROST_URL, a server is asked over HTTP, with a key of the
scope `admin`; so is the usual server where only the client is installed.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from api.cli.escaping import escaped
from api.cli.exit_status import reported
from api.cli.options import AsJson, connect
from api.cli.program import PROGRAM
from api.client import DEFAULT_SERVER
from worker.errors import InvalidRequestError
from worker.formatting import age, number

if TYPE_CHECKING:
    from worker.contract.keys import Key, NewKey

app = typer.Typer(
    help="Say who may use the API: make, list, renew and revoke API keys.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)

_Server = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="URL",
        envvar="PERMAFROST_URL",
        help="Ask this server, with an API key of the scope admin; else the data folder is used.",
    ),
]
_Data = Annotated[
    Path | None,
    typer.Option(
        envvar="PERMAFROST_DATA",
        metavar="FOLDER",
        help="Data folder of the server, unless REDIS_URL names its Redis.",
        show_default="data",
    ),
]
_KeyId = Annotated[str, typer.Argument(metavar="ID", help="Which key, as the list shows it.")]
_Expires = Annotated[
    float | None,
    typer.Option("--expires", metavar="DAYS", help="Days after which it works no more."),
]
_Save = Annotated[
    bool,
    typer.Option(
        "--save", help="Use it from now on: write it to ~/.config/permafrost/keys as well."
    ),
]


class Keys(Protocol):
    """What can be asked for, over HTTP (by the client) or of Redis itself."""

    def keys(self) -> "list[Key]":
        """Return every key."""

    def create_key(
        self, name: str, scopes: list[str], *, expires_days: float | None, rate: float | None
    ) -> "NewKey":
        """Make a key."""

    def renew_key(
        self, key_id: str, *, grace_s: float | None, expires_days: float | None
    ) -> "NewKey":
        """Make a key anew."""

    def revoke_key(self, key_id: str) -> "Key":
        """Have a key work no more."""


@app.callback()
def keys(
    context: typer.Context,
    server: _Server = "",
    data: _Data = None,
    as_json: AsJson = False,
) -> None:
    """List the API keys; `create`, `renew` and `revoke` change them."""
    if context.invoked_subcommand is not None:
        return
    from api.cli.output import write_json  # noqa: PLC0415 - imports rich
    from api.client import document  # noqa: PLC0415 - imports httpx

    with _opened(context, server, data, as_json=as_json) as opened:
        found = opened.keys()
    if as_json:
        write_json({"keys": [document(key) for key in found]})
    else:
        _show(found)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who or what uses it.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it allows: submit, read, freeze or admin; may be given several times.",
            show_default="submit, read and freeze",
        ),
    ] = None,
    expires: _Expires = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="NUMBER",
            help="Submissions per second that it may send in the long run.",
            show_default="as PERMAFROST_CLIENT_RATE says",
        ),
    ] = None,
    save: _Save = False,
    server: _Server = "",
    data: _Data = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key. It is shown once: only its hash is kept."""
    scopes = scope or ["submit", "read", "freeze"]
    with _opened(context, server, data, as_json=as_json) as found:
        made = found.create_key(name, scopes, expires_days=expires, rate=rate)
    with reported(as_json=as_json):
        _show_once(made, server, save=save, as_json=as_json)


@app.command()
def renew(
    context: typer.Context,
    key_id: _KeyId,
    grace: Annotated[
        float | None,
        typer.Option(
            "--grace",
            metavar="SECONDS",
            help="How long the old one still works; 0 ends it at once.",
            show_default="a day, or as PERMAFROST_KEY_GRACE_S says",
        ),
    ] = None,
    expires: _Expires = None,
    save: _Save = False,
    server: _Server = "",
    data: _Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key anew, with its id, name, scopes and jobs; the new one is shown once."""
    with _opened(context, server, data, as_json=as_json) as found:
        made = found.renew_key(key_id, grace_s=grace, expires_days=expires)
    with reported(as_json=as_json):
        _show_once(made, server, save=save, as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    key_id: _KeyId,
    server: _Server = "",
    data: _Data = None,
    as_json: AsJson = False,
) -> None:
    """Have a key work no more, within about a second, and whoever signed in with it be out."""
    from api.cli.output import message, write_json  # noqa: PLC0415 - imports rich
    from api.client import document  # noqa: PLC0415 - imports httpx

    with _opened(context, server, data, as_json=as_json) as found:
        revoked = found.revoke_key(key_id)
    if as_json:
        write_json(document(revoked))
    else:
        message(f"API key {revoked.id} ({escaped(revoked.name)}) is revoked.")


@contextlib.contextmanager
def _opened(
    context: typer.Context, server: str, data: Path | None, *, as_json: bool
) -> Iterator[Keys]:
    """Give the keys of a server that is named, else those of this machine's data folder.

    How the latter are opened, a program that has the server says as the context's object.
    """
    of_folder: Callable[[Path], AbstractContextManager[Keys]] | None = context.obj
    with reported(as_json=as_json), contextlib.ExitStack() as stack:
        if server or of_folder is None:
            if not server and data is not None:
                raise InvalidRequestError(
                    "--data is for the machine of the server, in whose clone "
                    "`./permafrost keys` knows it: here, name the server with --server."
                )
            yield stack.enter_context(connect(server or DEFAULT_SERVER))
        else:
            folder = (data or Path("data")).expanduser()
            # Links stay as given.
            yield stack.enter_context(of_folder(Path(os.path.abspath(folder))))  # noqa: PTH100


def _show_once(made: "NewKey", server: str, *, save: bool, as_json: bool) -> None:
    from api.cli.output import message, write_json  # noqa: PLC0415 - imports rich
    from api.client import document  # noqa: PLC0415 - imports httpx
    from api.client.key_files import remember  # noqa: PLC0415
    from worker.contract.base import rfc3339  # noqa: PLC0415 - imports pydantic

    path = remember(server or DEFAULT_SERVER, made.key) if save else None
    if as_json:
        write_json(document(made))
    else:
        typer.echo(made.key)
        scopes = ", ".join(made.scopes)
        until = f", until {rfc3339(made.expires_at)}" if made.expires_at else ""
        message(f"This is API key {made.id} ({escaped(made.name)}): {scopes}{until}.")
        message("It is not shown again. Programs send it as `Authorization: Bearer KEY`.")
    if path is not None:
        message(f"It is in {path}, where {PROGRAM} finds it.")


def _show(found: "list[Key]") -> None:
    from api.cli.output import Column, console, message, table  # noqa: PLC0415 - imports rich

    if not found:
        message(f"There are no API keys: make one with `{PROGRAM} keys create NAME`.")
        return
    columns = (
        Column(title="id"),
        Column(title="name", wide=True),
        Column(title="scopes", wide=True),
        Column(title="state"),
        Column(title="created", justify="right"),
        Column(title="last used", justify="right"),
        Column(title="expires", justify="right"),
        Column(title="rate", justify="right"),
    )
    rows = [
        (
            key.id,
            key.name,
            ", ".join(key.scopes),
            key.state,
            age(key.created_at),
            age(key.last_used_at) if key.last_used_at else "never",
            f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never",
            number(key.rate),
        )
        for key in found
    ]
    table(console(), columns, rows)
