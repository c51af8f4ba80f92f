"""The table of docs/freezing.md: what becomes of models from public bug reports about freezing.

    PERMAFROST_FIXTURES=... python -m tests.field.cases [--write-docs]

Each case is frozen with nothing said, as a freezing worker does it, and what comes out is asked for
its answers to the case's photographs, which its own framework has given. A case is served `right`
if they are the same with nothing said, or if the version says that its preprocessing is assumed and
they are the same with another one, or if it names `--averages` and they are with these. The exit
code is 1 where a case is served wrongly.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from freezing.process import freeze_order
from freezing.running.forks import apart
from freezing.running.steps import Report
from freezing.sources.unpacking import unpacked
from freezing.stages import run
from tests.support.system import ROOT
from worker.archives import ArchiveLimits
from worker.contract.source_requests import FreezeRequest
from worker.errors import PermafrostError
from worker.images.preprocess import prepare
from worker.inference.scores import to_scores
from worker.models.preprocessing import PRESETS, Preprocessing
from worker.settings import Settings

PAGE = ROOT / "docs" / "freezing.md"
BEGIN = "<!-- made by tests/field/cases.py -->"
END = "<!-- end of cases -->"
TOLERANCE = 1e-3  # of a score
_NAMED = re.compile(r"'[^' ]*'")  # files and nodes of the case, which say nothing to others
_KINDS = {
    "checkpoint": "a TensorFlow 1 checkpoint",
    "saved_model": "a SavedModel",
    "keras": "a Keras file",
    "graph": "a frozen graph",
}


class Row(NamedTuple):
    """One row of the table."""

    what: str
    end: str  # served, kept for download, refused
    answers: str
    said: str

    @property
    def is_wrong(self) -> bool:
        return self.answers.startswith("wrong")


def sources(case: Path) -> Iterator[Path]:
    """Yield what a person hands over: the folder of a checkpoint, else each model."""
    inside = sorted(path for path in (case / "input").iterdir() if not path.name.startswith("."))
    if any(path.name == "checkpoint" for path in inside):
        yield case / "input"
        return
    beside = (".txt", ".json")  # belongs to the model beside it
    models = [path for path in inside if path.suffix not in beside]
    yield from models or inside


def row(source: Path, expected: dict[str, Any], photographs: Path) -> Row:
    """Freeze one source with nothing said and compare its answers.

    Where it is said that the weights' moving averages were not taken, they are tried as well.
    """
    found = _frozen(source, expected, photographs)
    if found.is_wrong and "(--averages)" in found.said:
        other = _frozen(source, expected, photographs, averages=True)
        if other.answers.startswith("right"):
            said = "those of the last weights, and it says that there are moving averages of them"
            return found._replace(answers=f"{said}: with `--averages` {other.answers}")
    return found


def _frozen(source: Path, expected: dict[str, Any], photographs: Path, **fields: Any) -> Row:
    report = Report(lambda _: None)
    what = str(expected.get("note") or "")
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.pb"
        request = FreezeRequest.parse({"name": "case", **fields})
        settings = Settings(data=Path(folder))
        try:
            opened = unpacked(source, Path(folder) / "unpacked", ArchiveLimits.of(settings))
            order = freeze_order(request, opened, graph, settings)
            outcome = run(order, report).model_dump(mode="json")
        except PermafrostError as error:
            return Row(what or _form(source), "refused", "", error.message)
        kind = _KINDS.get(outcome["source"].get("kind"), "a model")
        what = f"{kind}: {what}" if what else kind
        warnings = " ".join(outcome["warnings"])
        if outcome["preprocessing"] is None or outcome["scores"] is None:
            return Row(what, "kept for download", "", warnings)
        if "scores" not in expected:
            return Row(what, "served", "not compared", warnings)
        found = apart(report, _compared, str(graph), outcome, expected["scores"], str(photographs))
    return Row(what, "served", _judged(found, outcome), warnings)


def _form(source: Path) -> str:
    """Return the form of what is no model here: a folder, or the suffix of its name."""
    return "a folder" if source.is_dir() else f"a `{''.join(source.suffixes[-2:])}` file"


def _compared(
    _: Any, graph: str, outcome: dict[str, Any], expected: dict[str, list[float]], folder: str
) -> dict[str, float]:
    """Return how far scores are from those expected, by how images are prepared."""

    prepared = Preprocessing.model_validate(outcome["preprocessing"])
    tensor, output = outcome["inputs"][0], outcome["outputs"][0]["name"]
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(Path(graph).read_bytes())
    with tf.Graph().as_default() as whole:
        tf.import_graph_def(definition, name="")
    session = tf.compat.v1.Session(graph=whole)
    pictures = [Image.open(Path(folder) / name) for name in expected]
    wanted = np.array(list(expected.values()))
    dtype = tf.as_dtype(tensor["dtype"]).as_numpy_dtype

    def distance(how: Preprocessing) -> float:
        rows = [prepare(picture, how, dtype) for picture in pictures]
        answers = np.concatenate([session.run(output, {tensor["name"]: row[None]}) for row in rows])
        scores = to_scores(answers.reshape(len(rows), -1).astype(np.float32), outcome["scores"])
        if scores.shape != wanted.shape:
            return float(wanted.size)  # no score is further from another
        return float(np.abs(scores - wanted).max())

    found = {"": distance(prepared)}
    colors = ("gray",) if prepared.channels == 1 else ("rgb", "bgr")
    for color in colors:
        for preset, fields in PRESETS.items():
            if prepared.channels == 3 or len(fields["mean"]) == 1:
                how = prepared.model_copy(update={**fields, "color": color})
                found[f"{preset} {color}"] = distance(how)
    return found


def _judged(found: dict[str, float], outcome: dict[str, Any]) -> str:
    alone = found.pop("")
    if alone <= TOLERANCE:
        return f"right (within {_rounded(alone)})"
    best = min(found, key=lambda name: found[name])
    is_assumed = (outcome.get("basis") or {}).get("kind") == "assumed"
    if found[best] > TOLERANCE:
        return f"wrong (by {alone:.2g})"
    right = f"the model's own with `{best.split()[0]}` and {best.split()[1].upper()}"
    return (
        f"{right}, and it says that what it takes is assumed" if is_assumed else f"wrong: {right}"
    )


def _rounded(distance: float) -> str:
    return next(text for text in ("1e-5", "1e-4", "1e-3") if distance <= float(text))


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown, without the names and paths of this machine."""
    lines = [
        "| what it was | with nothing said | answers | what is said |",
        "| --- | --- | --- | --- |",
    ]
    for one in rows:
        said = "" if one.end == "served" else _NAMED.sub("'...'", one.said)
        cells = (" ".join(cell.split()).replace("|", "\\|") for cell in (*one[:3], said))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(dict.fromkeys(lines))


def main() -> int:
    """Freeze all cases, print the table, and write it into the page if that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write-docs", action="store_true", help=f"write it into {PAGE.name}")
    given = parser.parse_args()
    fixtures = os.environ.get("PERMAFROST_FIXTURES")
    folder = Path(fixtures or "").parent / "cases" / "freezing"
    if not fixtures or not folder.is_dir():
        parser.error("PERMAFROST_FIXTURES is unset or has no cases beside it")
    rows = []
    for case in sorted(folder.iterdir()):
        if not (case / "input").is_dir():
            continue
        about = case / "expected.json"
        expected = json.loads(about.read_text()) if about.is_file() else {}
        photographs = (case / expected.get("photos", "../photos/32")).resolve()
        for source in sources(case):
            rows.append(row(source, expected, photographs))
            print(f"{source.relative_to(folder)}: {rows[-1]}", file=sys.stderr, flush=True)
    made = table(rows)
    print(made)
    if given.write_docs:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}")
    return 1 if any(one.is_wrong for one in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
