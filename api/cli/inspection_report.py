"""What an inspection found, as a person reads it."""

import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.text import Text

from api.cli.basis_view import basis_text, preprocessing_text
from api.cli.escaping import escaped
from api.cli.output import Column, facts, table
from api.client.reading import read
from api.client.uploads import path_text
from worker.formatting import counted, number, size
from worker.models.inspection import (
    Candidate,
    Dropped,
    Finding,
    Inspection,
    Parameters,
    PlaceholderValue,
    Predicted,
    SignatureFact,
)
from worker.models.preprocessing import Preprocessing

_KINDS = {
    "checkpoint": "TensorFlow 1 checkpoint",
    "saved_model": "SavedModel",
    "keras": "Keras file",
    "graph": "GraphDef",
}
_LEVEL_STYLES = {"error": "red", "warning": "yellow", "note": ""}
_MOST_LAYERS = 40


class _Typed(Protocol):
    """What has a shape and a type."""

    @property
    def dtype(self) -> str | None: ...
    @property
    def shape(self) -> list[int | None] | None: ...


def show_inspection(out: Console, result: Inspection) -> None:
    """Print an inspection job's result."""
    kind = _KINDS.get(result.kind, escaped(result.kind))
    out.print(Text(escaped(result.name), style="bold"), Text(kind))
    guess = result.preprocessing
    facts(
        out,
        [
            ("written by", f"TensorFlow {result.producer}" if result.producer else None),
            ("size", f"{size(result.bytes)} in {counted(len(result.files), 'file')}"),
            ("nodes", number(result.nodes)),
            ("parameters", _parameters(result.parameters)),
            ("labels", None if result.labels is None else number(result.labels)),
            ("frozen", _predicted(result.predicted)),
            ("images", preprocessing_text(_resolved(guess.fields))),
            ("basis", basis_text(guess.basis)),
        ],
    )
    _show_signatures(out, result.signatures)
    _show_candidates(out, "Outputs, likeliest first", result.outputs)
    _show_candidates(out, "Inputs, likeliest first", result.inputs)
    _show_values(out, result.values)
    _show_layers(out, result.parameters)
    _show_dropped(out, result.dropped)
    _show_findings(out, result.findings)


def freeze_words(source: str, body: dict[str, Any]) -> str:
    """Return the words of the `freeze` command that does what a request's body says."""
    words = ["freeze", path_text(source), "--name", str(body.get("name"))]
    for option, key in (("--output", "outputs"), ("--input", "inputs")):
        for name in body.get(key) or []:
            words += [option, str(name)]
    for name, value in (body.get("set") or {}).items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    if body.get("preprocessing"):
        words += ["--preprocessing", json.dumps(body["preprocessing"])]
    for key in ("signature", "checkpoint", "statistics"):
        if body.get(key):
            words += [f"--{key}", str(body[key])]
    if body.get("averages"):
        words.append("--averages")
    return shlex.join(escaped(word) for word in words)


def _show_signatures(out: Console, signatures: Iterable[SignatureFact]) -> None:
    rows = [(one.name, _tensors(one.inputs), _tensors(one.outputs)) for one in signatures]
    columns = (
        Column(title="signature"),
        Column(title="inputs", wide=True),
        Column(title="outputs", wide=True),
    )
    _section(out, "Signatures", columns, rows)


def _show_candidates(out: Console, title: str, candidates: Iterable[Candidate]) -> None:
    rows = [
        (
            Text("->" if one.chosen else "", style="green"),
            Text(escaped(one.name), style="bold" if one.chosen else ""),
            _tensor(one),
            one.op,
            "; ".join(map(escaped, one.reasons)),
        )
        for one in candidates
    ]
    columns = (
        Column(title=""),
        Column(title="tensor"),
        Column(title="shape"),
        Column(title="op"),
        Column(title="why", wide=True),
    )
    _section(out, title, columns, rows)


def _show_values(out: Console, values: Iterable[PlaceholderValue]) -> None:
    rows = []
    for one in values:
        if one.value is not None:
            shown = f"--set {one.name}={json.dumps(one.value)}"
        else:
            shown = "?" if one.default is None else f"default {json.dumps(one.default)}"
        rows.append((one.name, _tensor(one), shown, one.reason))
    columns = (
        Column(title="placeholder"),
        Column(title="shape"),
        Column(title="value"),
        Column(title="why", wide=True),
    )
    _section(out, "Placeholders that need a value", columns, rows)


def _show_layers(out: Console, parameters: Parameters) -> None:
    shown = layers = parameters.layers
    if len(layers) > _MOST_LAYERS:
        least = sorted((one.parameters for one in layers), reverse=True)[_MOST_LAYERS - 1]
        shown = [one for one in layers if one.parameters >= least][:_MOST_LAYERS]
    rows: list[tuple[object, ...]] = [
        (one.name, ", ".join(one.variables), number(one.parameters)) for one in shown
    ]
    rest = len(layers) - len(shown) + parameters.layers_left_out
    if rest:
        kept = sum(one.parameters for one in shown)
        rows.append((f"and {rest} smaller", "", number(parameters.kept - kept)))
    columns = (
        Column(title="layer", wide=True),
        Column(title="variables", wide=True),
        Column(title="parameters", justify="right"),
    )
    footer = ("kept", "", number(parameters.kept))
    _section(out, "What freezing keeps", columns, rows, footer=footer)


def _show_dropped(out: Console, dropped: Iterable[Dropped]) -> None:
    rows = [
        (one.kind.replace("_", " "), number(one.nodes), size(one.bytes))
        for one in dropped
        if one.nodes
    ]
    columns = (
        Column(title="kind"),
        Column(title="nodes", justify="right"),
        Column(title="bytes", justify="right"),
    )
    _section(out, "What freezing drops", columns, rows)


def _show_findings(out: Console, findings: Sequence[Finding]) -> None:
    if findings:
        out.print()
    for one in findings:
        nodes = ", ".join(map(escaped, one.nodes))
        text = f"{one.level.capitalize()}: {escaped(one.message)}"
        out.print(Text(text + (f" ({nodes})" if nodes else ""), style=_LEVEL_STYLES[one.level]))


def _section(
    out: Console,
    title: str,
    columns: tuple[Column, ...],
    rows: Iterable[tuple[object, ...]],
    footer: tuple[object, ...] | None = None,
) -> None:
    rows = list(rows)
    if rows:
        out.print()
        out.print(Text(title, style="bold"))
        table(out, columns, rows, footer=footer)


def _parameters(parameters: Parameters) -> str:
    text = f"{number(parameters.total)} ({size(parameters.bytes)})"
    if parameters.kept != parameters.total:
        text += f", of which the outputs need {number(parameters.kept)}"
    return text


def _predicted(predicted: Predicted | None) -> str | None:
    if predicted is None:
        return None
    return f"about {size(predicted.bytes)} and {number(predicted.nodes)} nodes"


def _resolved(fields: dict[str, Any]) -> Preprocessing | None:
    return read(Preprocessing, fields) if fields else None


def _tensor(one: _Typed) -> str:
    dtype = escaped(one.dtype or "?")
    if one.shape is None:
        return f"{dtype}, unknown"
    return f"{dtype} [{', '.join('?' if side is None else str(side) for side in one.shape)}]"


def _tensors(found: dict[str, str]) -> str:
    return ", ".join(f"{escaped(name)} = {escaped(text)}" for name, text in found.items())
