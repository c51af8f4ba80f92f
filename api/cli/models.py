"""`models`: what can be classified with."""

from typing import Annotated, Any

import typer

from api.cli.options import DEFAULT_SERVER, AsJson, Server, connect
from api.cli.outcome import reported
from api.cli.text import age, number, path_text, printable, size
from worker.errors import InvalidRequestError

_MOST_LABELS = 8  # labels of a model that a table names


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show this model's versions.")
    ] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option("--alias", metavar="ALIAS=VERSION", help="Move an alias: stable=2."),
    ] = None,
    retire: Annotated[
        list[int] | None,
        typer.Option("--retire", metavar="VERSION", help="Take a version out of use.", min=1),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Retire also what an alias means, which is moved or removed."),
    ] = False,
    try_again: Annotated[
        list[int] | None,
        typer.Option(
            "--try-again", metavar="VERSION", help="Try a version again that was set aside.", min=1
        ),
    ] = None,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """List the models, or the versions of one; move its aliases and retire its versions.

    A version that an alias means cannot be retired: move the alias first, which can be done in the
    same command, or use --force: the alias then means the newest version before that one. Jobs
    that were accepted for a retired version still end, those of one retired by force fail.
    """
    from api.cli.output import message, write_json  # noqa: PLC0415 - imports rich

    with reported(as_json=as_json), connect(server) as client:
        moves = [_parse_move(text) for text in alias or []]
        if name is None and (moves or retire or try_again):
            raise InvalidRequestError("--alias, --retire and --try-again need the NAME of a model.")
        if force and not retire:
            raise InvalidRequestError("--force goes with --retire VERSION.")
        for moved, version in moves:
            client.set_alias(str(name), moved, version)
        meant: dict[str, int | None] = {}
        for version in retire or []:
            meant |= client.retire(str(name), version, force=force).get("moved") or {}
        for version in try_again or []:
            client.try_again(str(name), version)
        document = client.models() if name is None else client.model(name)
    if as_json:
        write_json({**document, "moved": meant} if retire else document)
        return
    for moved, now in meant.items():
        what = "was removed: no other version can be used" if now is None else f"means {now} now"
        message(f"The alias {moved} {what}.")
    if name is None:
        _show_models(document["models"])
    else:
        _show_model(document)


def _parse_move(text: str) -> tuple[str, int]:
    alias, _, version = text.partition("=")
    if not alias or not version.isascii() or not version.isdigit():
        raise InvalidRequestError(
            f"--alias takes ALIAS=VERSION, such as stable=2; '{path_text(text)}' is not that."
        )
    return alias, int(version)


def _show_models(found: list[dict[str, Any]]) -> None:
    from api.cli.output import Column, console, message, table  # noqa: PLC0415 - imports rich

    if not found:
        message("There are no models yet: make one with `./permafrost freeze SOURCE --name NAME`.")
        return
    columns = (
        Column(title="model", wide=True),
        Column(title="aliases", wide=True),
        Column(title="versions", justify="right"),
        Column(title="size", justify="right"),
        Column(title="labels", wide=True),
        Column(title="newest", justify="right"),
    )
    rows = []
    for model in found:
        versions = model.get("versions") or []
        used = _used(model)
        newest = versions[-1] if versions else {}
        rows.append(
            (
                model.get("name"),
                _aliases(model.get("aliases")),
                _count(versions),
                size(used.get("bytes")),
                _labels(used.get("labels")),
                age(newest.get("created_at")),
            )
        )
    table(console(), columns, rows)


def _show_model(model: dict[str, Any]) -> None:
    from api.cli.freeze_report import tensors  # noqa: PLC0415 - imports rich
    from api.cli.output import console, facts  # noqa: PLC0415 - imports rich

    out = console()
    facts(out, [("model", model.get("name")), ("aliases", _aliases(model.get("aliases")))])
    meant: dict[int, list[str]] = {}
    for alias, version in (model.get("aliases") or {}).items():
        meant.setdefault(version, []).append(str(alias))
    for version in reversed(model.get("versions") or []):
        aliases = meant.get(version.get("version"), [])
        out.print()
        aside = version.get("set_aside")
        facts(
            out,
            [
                ("version", f"{version.get('version')} {' '.join(aliases)}".strip()),
                *([("set aside", _why(model.get("name"), version))] if aside else []),
                ("published", f"{version.get('created_at')} ({age(version.get('created_at'))})"),
                ("size", size(version.get("bytes"))),
                ("inputs", tensors(version.get("inputs"))),
                ("outputs", tensors(version.get("outputs"))),
                ("labels", _labels(version.get("labels"))),
                ("preprocessing", _fields(version.get("preprocessing")) or "none: no images"),
                ("scores", version.get("scores") or "none"),
                ("runtime", version.get("runtime")),
                ("sha256", version.get("sha256")),
            ],
        )


def _count(versions: list[dict[str, Any]]) -> str:
    aside = sum(version.get("set_aside") is not None for version in versions)
    return f"{number(len(versions))} ({number(aside)} set aside)" if aside else str(len(versions))


def _why(name: object, version: dict[str, Any]) -> str:
    """Return why a version is not served, when, and what to type."""
    aside = version["set_aside"]
    again = f"./permafrost models {name} --try-again {version.get('version')}"
    return f"{aside.get('reason')} ({age(aside.get('at'))}). To try it again: {again}"


def _used(model: dict[str, Any]) -> dict[str, Any]:
    """Return the version that an unversioned request gets, else the newest."""
    versions: list[dict[str, Any]] = model.get("versions") or []
    stable = (model.get("aliases") or {}).get("stable")
    fallback = versions[-1] if versions else {}
    return next((found for found in versions if found.get("version") == stable), fallback)


def _aliases(aliases: object) -> str:
    if not isinstance(aliases, dict):
        return ""
    return ", ".join(f"{alias} {version}" for alias, version in sorted(aliases.items()))


def _labels(labels: object) -> str:
    """Return the first labels and how many more there are; a list of models says only how many."""
    if isinstance(labels, int):
        return number(labels)
    if not isinstance(labels, list):
        return ""
    named = ", ".join(printable(label) for label in labels[:_MOST_LABELS])
    rest = len(labels) - _MOST_LABELS
    return f"{named} and {number(rest)} more" if rest > 0 else named


def _fields(fields: object) -> str:
    if not isinstance(fields, dict):
        return ""
    return ", ".join(f"{name} {value}" for name, value in fields.items())
