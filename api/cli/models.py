"""`models`: what can be classified with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.escaping import escaped
from api.cli.exit_status import reported
from api.cli.freeze import Scores
from api.cli.freeze_options import read_labels, read_preprocessing
from api.cli.options import AsJson, Server, connect
from api.cli.program import PROGRAM
from api.client import DEFAULT_SERVER
from api.client.uploads import path_text
from worker.errors import InvalidRequestError
from worker.formatting import age, number, size

if TYPE_CHECKING:
    from worker.contract.models import ListedVersion, Model, ModelSummary, VersionSummary

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
    from api.client import document  # noqa: PLC0415 - imports httpx

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
            published = {"published": made.version}
        for moved, version in moves:
            client.set_alias(named, moved, version)
        meant: dict[str, int | None] = {}
        for version in retire or []:
            meant |= client.retire(named, version, force=force).moved
        for version in try_again or []:
            client.try_again(named, version)
        if name is None:
            _show_models(client.models(), as_json=as_json)
            return
        model = client.model(named)
    if as_json:
        more = {"moved": meant} if retire else {}
        write_json({**document(model), **more, **published})
        return
    if published:
        message(f"Published as {escaped(named)}@{published['published']}.")
    for moved, now in meant.items():
        what = "was removed: no other version can be used" if now is None else f"means {now} now"
        message(f"The alias {moved} {what}.")
    _show_model(model, server)


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


def _show_models(found: "list[ModelSummary]", *, as_json: bool) -> None:
    from api.cli.output import (  # noqa: PLC0415 - imports rich
        Column,
        console,
        message,
        table,
        write_json,
    )
    from api.client import document  # noqa: PLC0415 - imports httpx

    if as_json:
        write_json({"models": [document(model) for model in found]})
        return
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
        used = _used(model)
        labels = number(used.labels) if used and used.labels is not None else ""
        rows.append(
            (
                model.name,
                _aliases(model.aliases),
                _count(model.versions),
                size(used.bytes if used else None),
                labels,
                used.basis if used else None,
                age(model.versions[-1].created_at if model.versions else None),
            )
        )
    table(console(), columns, rows)


def _show_model(model: "Model", server: str) -> None:
    from api.cli.basis_view import (  # noqa: PLC0415 - imports rich
        basis_text,
        preprocessing_text,
        show_choices,
    )
    from api.cli.freeze_report import tensors  # noqa: PLC0415
    from api.cli.output import console, facts  # noqa: PLC0415 - imports rich

    out = console()
    facts(out, [("model", model.name), ("aliases", _aliases(model.aliases))])
    for version in reversed(model.versions):
        aliases = (alias for alias, meant in model.aliases.items() if meant == version.version)
        published = version.created_at.isoformat().replace("+00:00", "Z")
        out.print()
        facts(
            out,
            [
                ("version", f"{version.version} {' '.join(aliases)}".strip()),
                ("set aside", _why(model.name, version)),
                ("published", f"{published} ({age(version.created_at)})"),
                ("size", size(version.bytes)),
                ("inputs", tensors(version.inputs)),
                ("outputs", tensors(version.outputs)),
                ("labels", _labels(version.labels or [])),
                ("preprocessing", preprocessing_text(version.preprocessing) or "none: no images"),
                ("basis", basis_text(version.basis)),
                ("scores", version.scores or "none"),
                ("runtime", version.runtime),
                ("sha256", version.sha256),
            ],
        )
        choices = ((choice.reason, choice.command) for choice in version.choices)
        show_choices(out, choices, server)


def _count(versions: "list[VersionSummary]") -> str:
    aside = sum(version.set_aside is not None for version in versions)
    return f"{number(len(versions))} ({number(aside)} set aside)" if aside else str(len(versions))


def _why(name: str, version: "ListedVersion") -> str | None:
    """Return why a version is not served, when, and what to type."""
    aside = version.set_aside
    if aside is None:
        return None
    again = f"{PROGRAM} models {name} --try-again {version.version}"
    return f"{aside.reason} ({age(aside.at)}). To try it again: {again}"


def _used(model: "ModelSummary") -> "VersionSummary | None":
    """Return the version that an unversioned request gets, else the newest."""
    newest = model.versions[-1] if model.versions else None
    stable = model.aliases.get("stable")
    return next((found for found in model.versions if found.version == stable), newest)


def _aliases(aliases: dict[str, int]) -> str:
    return ", ".join(f"{alias} {version}" for alias, version in sorted(aliases.items()))


def _labels(labels: list[str]) -> str:
    """Return the first labels and how many more there are."""
    named = ", ".join(escaped(label) for label in labels[:_MOST_LABELS])
    rest = len(labels) - _MOST_LABELS
    return f"{named} and {number(rest)} more" if rest > 0 else named
