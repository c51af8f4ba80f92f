"""`models`: what can be classified with."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.freeze import Scores
from api.cli.freeze_options import read_labels, read_preprocessing
from api.cli.options import AsJson, Server, connect
from api.cli.outcome import reported
from api.cli.program import PROGRAM
from api.cli.text import age, number, printable, size
from api.client import DEFAULT_SERVER
from api.client.uploads import path_text
from worker.errors import InvalidRequestError

_MOST_LABELS = 8  # labels of a model that a table names


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME[@VERSION|@ALIAS]]", help="The model; else all of them are listed."
        ),
    ] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option(
            "--alias",
            metavar="ALIAS[=VERSION]",
            help="Move an alias: stable=2. Without a version: to the one that is published.",
        ),
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
    preprocessing: Annotated[
        str | None,
        typer.Option(
            "--preprocessing",
            metavar="FILE|PRESET",
            help="Publish the same graph as the next version, with images prepared in this way: "
            "a preset or fields as for freeze. What is left out stays as it is.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="The same with other labels."),
    ] = None,
    scores: Annotated[
        Scores | None, typer.Option("--scores", help="The same with other words for the output.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """List the models, or the versions of one; move its aliases, publish and retire its versions.

    With --preprocessing, --labels or --scores, the graph of the version that is named, else of
    stable, is published again as the next version, and nothing is frozen. The alias stable moves to
    it, or the one that --alias names.

    A version that an alias means cannot be retired: move the alias first, which can be done in the
    same command, or use --force: the alias then means the newest version before that one. Jobs
    that were accepted for a retired version still end, those of one retired by force fail.
    """
    from api.cli.output import message, write_json  # noqa: PLC0415 - imports rich

    with reported(as_json=as_json), connect(server) as client:
        named, _, which = (name or "").partition("@")
        said = _said(preprocessing, labels, scores)
        targets, moves = _aliases_meant(alias or [], publishes=bool(said))
        if name is None and (moves or retire or try_again or said):
            raise InvalidRequestError(
                "--alias, --retire, --try-again, --preprocessing, --labels and --scores need the "
                "NAME of a model."
            )
        if which and not said:
            raise InvalidRequestError(
                f"'{path_text(str(name))}': name a version where its graph is to be published "
                "again, with --preprocessing, --labels or --scores; else only the model."
            )
        if force and not retire:
            raise InvalidRequestError("--force goes with --retire VERSION.")
        published = {}
        if said:
            made = client.republish(named, version=which or "stable", alias=targets, **said)
            published = {"published": made["version"]}
        for moved, version in moves:
            client.set_alias(named, moved, version)
        meant: dict[str, int | None] = {}
        for version in retire or []:
            meant |= client.retire(named, version, force=force).get("moved") or {}
        for version in try_again or []:
            client.try_again(named, version)
        document = client.models() if name is None else client.model(named)
    if as_json:
        more = {"moved": meant} if retire else {}
        write_json({**document, **more, **published})
        return
    if published:
        message(f"Published as {printable(named)}@{published['published']}.")
    for moved, now in meant.items():
        what = "was removed: no other version can be used" if now is None else f"means {now} now"
        message(f"The alias {moved} {what}.")
    if name is None:
        _show_models(document["models"])
    else:
        _show_model(document, server)


def _said(preprocessing: str | None, labels: Path | None, scores: Scores | None) -> dict[str, Any]:
    """Return what is to be different in a version that is published again."""
    given = {
        "preprocessing": None if preprocessing is None else read_preprocessing(preprocessing),
        "labels": None if labels is None else read_labels(labels),
        "scores": scores,
    }
    return {name: value for name, value in given.items() if value is not None}


def _aliases_meant(given: list[str], *, publishes: bool) -> tuple[str, list[tuple[str, int]]]:
    """Return the alias of a version that is published again, and the moves of other aliases."""
    targets = [text for text in given if publishes and "=" not in text]
    if len(targets) > 1:
        raise InvalidRequestError(
            "One alias moves to a version as it is published: move the others afterwards, with "
            "--alias ALIAS=VERSION."
        )
    moves = [_parse_move(text) for text in given if text not in targets]
    return (*targets, "stable")[0], moves


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
        message(f"There are no models yet: make one with `{PROGRAM} freeze SOURCE --name NAME`.")
        return
    columns = (
        Column(title="model", wide=True),
        Column(title="aliases", wide=True),
        Column(title="versions", justify="right"),
        Column(title="size", justify="right"),
        Column(title="labels", wide=True),
        Column(title="preprocessing"),
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
                used.get("basis"),
                age(newest.get("created_at")),
            )
        )
    table(console(), columns, rows)


def _show_model(model: dict[str, Any], server: str) -> None:
    from api.cli.basis_view import (  # noqa: PLC0415 - imports rich
        basis_text,
        preprocessing_text,
        show_choices,
    )
    from api.cli.freeze_report import tensors  # noqa: PLC0415
    from api.cli.output import console, facts  # noqa: PLC0415 - imports rich

    out = console()
    facts(out, [("model", model.get("name")), ("aliases", _aliases(model.get("aliases")))])
    meant: dict[int, list[str]] = {}
    for alias, version in (model.get("aliases") or {}).items():
        meant.setdefault(version, []).append(str(alias))
    for version in reversed(model.get("versions") or []):
        prepared = preprocessing_text(version.get("preprocessing"))
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
                ("preprocessing", prepared or "none: no images"),
                ("basis", basis_text(version.get("basis"))),
                ("scores", version.get("scores") or "none"),
                ("runtime", version.get("runtime")),
                ("sha256", version.get("sha256")),
            ],
        )
        if choices := version.get("choices"):
            show_choices(out, choices, server)


def _count(versions: list[dict[str, Any]]) -> str:
    aside = sum(version.get("set_aside") is not None for version in versions)
    return f"{number(len(versions))} ({number(aside)} set aside)" if aside else str(len(versions))


def _why(name: object, version: dict[str, Any]) -> str:
    """Return why a version is not served, when, and what to type."""
    aside = version["set_aside"]
    again = f"{PROGRAM} models {name} --try-again {version.get('version')}"
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
