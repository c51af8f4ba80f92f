"""What an inspection found, as a person reads it."""

import json
import shlex
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from api.cli.basis_view import basis_text, preprocessing_text
from api.cli.output import Column, facts, table
from api.cli.text import counted, number, printable, size
from api.client.uploads import path_text

_KINDS = {
    "checkpoint": "TensorFlow 1 checkpoint",
    "saved_model": "SavedModel",
    "keras": "Keras file",
    "graph": "GraphDef",
}
_LEVEL_STYLES = {"error": "red", "warning": "yellow", "note": ""}
_MOST_LAYERS = 40


def show_inspection(out: Console, result: dict[str, Any]) -> None:
    """Print an inspection job's result."""
    kind = str(result.get("kind"))
    out.print(Text(printable(result.get("name")), style="bold"), Text(_KINDS.get(kind, kind)))
    parameters = result.get("parameters") or {}
    guess = result.get("preprocessing") or {}
    facts(
        out,
        [
            ("written by", f"TensorFlow {result['producer']}" if result.get("producer") else None),
            (
                "size",
                f"{size(result.get('bytes'))} in {counted(len(_list(result, 'files')), 'file')}",
            ),
            ("nodes", number(result.get("nodes"))),
            ("parameters", _parameters(parameters)),
            ("labels", number(result["labels"]) if result.get("labels") is not None else None),
            ("frozen", _predicted(result.get("predicted"))),
            ("images", preprocessing_text(guess.get("fields"))),
            ("basis", basis_text(guess.get("basis"))),
        ],
    )
    _show_signatures(out, _list(result, "signatures"))
    _show_candidates(out, "Outputs, likeliest first", _list(result, "outputs"))
    _show_candidates(out, "Inputs, likeliest first", _list(result, "inputs"))
    _show_values(out, _list(result, "values"))
    _show_layers(out, parameters)
    _show_dropped(out, _list(result, "dropped"))
    _show_findings(out, _list(result, "findings"))


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
    return shlex.join(printable(word) for word in words)


def _show_signatures(out: Console, signatures: list[dict[str, Any]]) -> None:
    rows = [
        (one.get("name"), _tensors(one.get("inputs")), _tensors(one.get("outputs")))
        for one in signatures
    ]
    columns = (
        Column(title="signature"),
        Column(title="inputs", wide=True),
        Column(title="outputs", wide=True),
    )
    _section(out, "Signatures", columns, rows)


def _show_candidates(out: Console, title: str, candidates: list[dict[str, Any]]) -> None:
    rows = [
        (
            Text("->" if one.get("chosen") else "", style="green"),
            Text(printable(one.get("name")), style="bold" if one.get("chosen") else ""),
            _tensor(one),
            one.get("op"),
            "; ".join(printable(reason) for reason in one.get("reasons") or []),
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


def _show_values(out: Console, values: list[dict[str, Any]]) -> None:
    rows = []
    for one in values:
        value = one.get("value")
        if value is None and one.get("default") is not None:
            shown = f"default {json.dumps(one['default'])}"
        else:
            shown = "?" if value is None else f"--set {one.get('name')}={json.dumps(value)}"
        rows.append((one.get("name"), _tensor(one), shown, one.get("reason")))
    columns = (
        Column(title="placeholder"),
        Column(title="shape"),
        Column(title="value"),
        Column(title="why", wide=True),
    )
    _section(out, "Placeholders that need a value", columns, rows)


def _show_layers(out: Console, parameters: dict[str, Any]) -> None:
    layers = _list(parameters, "layers")
    shown = layers
    if len(layers) > _MOST_LAYERS:
        least = sorted((one.get("parameters") or 0 for one in layers), reverse=True)[
            _MOST_LAYERS - 1
        ]
        shown = [one for one in layers if (one.get("parameters") or 0) >= least][:_MOST_LAYERS]
    rows: list[tuple[object, ...]] = [
        (one.get("name"), ", ".join(one.get("variables") or []), number(one.get("parameters")))
        for one in shown
    ]
    rest = len(layers) - len(shown) + int(parameters.get("layers_left_out") or 0)
    if rest:
        kept = sum(one.get("parameters") or 0 for one in shown)
        rows.append((f"and {rest} smaller", "", number((parameters.get("kept") or 0) - kept)))
    columns = (
        Column(title="layer", wide=True),
        Column(title="variables", wide=True),
        Column(title="parameters", justify="right"),
    )
    footer = ("kept", "", number(parameters.get("kept")))
    _section(out, "What freezing keeps", columns, rows, footer=footer)


def _show_dropped(out: Console, dropped: list[dict[str, Any]]) -> None:
    rows = [
        (str(one.get("kind")).replace("_", " "), number(one.get("nodes")), size(one.get("bytes")))
        for one in dropped
        if one.get("nodes")
    ]
    columns = (
        Column(title="kind"),
        Column(title="nodes", justify="right"),
        Column(title="bytes", justify="right"),
    )
    _section(out, "What freezing drops", columns, rows)


def _show_findings(out: Console, findings: list[dict[str, Any]]) -> None:
    if findings:
        out.print()
    for one in findings:
        level = str(one.get("level"))
        nodes = ", ".join(printable(name) for name in one.get("nodes") or [])
        text = f"{level.capitalize()}: {printable(one.get('message'))}"
        out.print(Text(text + (f" ({nodes})" if nodes else ""), style=_LEVEL_STYLES.get(level, "")))


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


def _parameters(parameters: dict[str, Any]) -> str | None:
    if not parameters:
        return None
    text = f"{number(parameters.get('total'))} ({size(parameters.get('bytes'))})"
    if parameters.get("kept") != parameters.get("total"):
        text += f", of which the outputs need {number(parameters.get('kept'))}"
    return text


def _predicted(predicted: dict[str, Any] | None) -> str | None:
    if not predicted:
        return None
    return f"about {size(predicted.get('bytes'))} and {number(predicted.get('nodes'))} nodes"


def _tensor(one: dict[str, Any]) -> str:
    shape, dtype = one.get("shape"), printable(one.get("dtype") or "?")
    if shape is None:
        return f"{dtype}, unknown"
    return f"{dtype} [{', '.join('?' if side is None else str(side) for side in shape)}]"


def _tensors(found: object) -> str:
    if not isinstance(found, dict):
        return ""
    return ", ".join(f"{printable(name)} = {printable(text)}" for name, text in found.items())


def _list(result: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = result.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
