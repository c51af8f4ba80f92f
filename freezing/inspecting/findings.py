"""What one should know of a source before freezing it."""

import re
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from freezing.choosing.plan import Plan
from freezing.converting.freeze import MOST_BYTES
from freezing.graph.batch_statistics import is_training
from freezing.graph.dropout import suggested_values
from freezing.graph.flow import Flow
from freezing.graph.graph import PLACEHOLDER_OPS, RANDOM_OPS, Graph, base_type, op_def
from freezing.graph.suggestions import as_option
from freezing.sources.source import Source
from worker.formatting import binary_size
from worker.models.inspection import Finding, Level
from worker.sources.listing import files_in

_MOST_NODES = 5
_ABSOLUTE = re.compile(rb"\A(/[\w.-]+/|[A-Za-z]:\\|gs://|s3://|hdfs://)[\w./\\ -]+\Z")
_LEVELS: tuple[Level, ...] = ("error", "warning", "note")


def finding(code: str, level: Level, message: str, nodes: Iterable[str] = ()) -> Finding:
    """Return a finding that names a few of its nodes."""
    return Finding(code=code, level=level, message=message, nodes=list(nodes)[:_MOST_NODES])


def in_order(found: Iterable[Finding]) -> list[Finding]:
    """Return findings with errors first, each once."""
    unique = {(one.code, one.message): one for one in found}
    return sorted(unique.values(), key=lambda one: _LEVELS.index(one.level))


def about_the_source(
    source: Source, flow: Flow, used: set[str], labels: list[str] | None
) -> list[Finding]:
    """Return what there is to say of the whole source; `used` is what the outputs need.

    `labels` are those that would be taken if none were given.
    """
    found = [finding("source", "warning", text) for text in source.warnings]
    found += _several_checkpoints(source)
    unused = [
        end.node
        for end in flow.inputs
        if flow.graph.nodes[end.node].op in PLACEHOLDER_OPS and end.node not in used
    ]
    if unused and used:
        found.append(
            finding(
                "unused_placeholders",
                "note",
                f"{_counted(len(unused), 'placeholder')} that the outputs do not need will be left "
                "behind.",
                unused,
            )
        )
    paths = [node.name for node in flow.graph if node.op == "Const" and _holds_absolute_path(node)]
    if paths:
        found.append(
            finding(
                "absolute_paths",
                "note",
                "The graph names files of the machine that made it, which serving does not have"
                f"{'' if set(paths) & used else '; the outputs do not need them'}.",
                paths,
            )
        )
    if labels is None:
        found.append(
            finding(
                "missing_labels",
                "note",
                "No labels were found: give them with `labels` (--labels), or classes are "
                "called by their number.",
            )
        )
    return found


def about_the_plan(plan: Plan, remaining: Graph, predicted_bytes: int) -> list[Finding]:
    """Return what there is to say of the part that would be frozen."""
    return [
        *(finding("as_trained", "note", text) for text in plan.as_trained),
        *_about_chance(remaining, plan),
        *_about_batches(plan),
        *_about_ops(remaining),
        *_about_size(predicted_bytes),
    ]


def without_dropout(remaining: Graph) -> dict[str, float]:
    """Return the constants to set so that dropouts without a placeholder let everything through."""
    found: dict[str, float] = {}
    random = [node.name for node in remaining if node.op == "RandomUniform"]
    consumers = remaining.consumers() if random else {}
    for name in random:
        found |= suggested_values(remaining, name, consumers)
    return found


def about_dropout(constants: dict[str, float]) -> list[Finding]:
    """Return that dropout is on, with what switches it off."""
    if not constants:
        return []
    options = " ".join(as_option(name, value) for name, value in constants.items())
    return [
        finding(
            "dropout",
            "warning",
            f"Dropout is on and has no placeholder to switch it off: set {options}.",
            constants,
        )
    ]


def _several_checkpoints(source: Source) -> list[Finding]:
    others: set[str] = set()
    for folder in {file.parent for file in source.files}:
        indices = {path.stem for path in files_in(folder) if path.suffix == ".index"}
        others |= indices - {source.name, "variables"}
    if not others or source.kind != "checkpoint":
        return []
    return [
        finding(
            "several_checkpoints",
            "note",
            f"The folder holds {_counted(len(others), 'other checkpoint')} beside '{source.name}', "
            f"which was taken: {', '.join(sorted(others)[:_MOST_NODES])}. Choose with "
            "`checkpoint` (--checkpoint).",
        )
    ]


def _about_chance(remaining: Graph, plan: Plan) -> list[Finding]:
    found = []
    random = [node.name for node in remaining if node.op.startswith(RANDOM_OPS)]
    consumers = remaining.consumers() if random else {}
    fixed = [name for name in random if suggested_values(remaining, name, consumers)]
    others = [name for name in random if name not in fixed]
    if others:
        found.append(
            finding(
                "random",
                "warning",
                "The outputs depend on random numbers, drawn anew for each image: a graph that "
                "answers differently each time does not pass the verification.",
                others,
            )
        )
    training = [node.name for node in remaining if is_training(node)]
    if training:
        instead = ""
        if plan.normalising.could_use_averages:
            instead = (
                " The moving averages that training kept can be taken instead: `statistics` "
                "(--statistics moving)."
            )
        found.append(
            finding(
                "batch_norm_training",
                "warning",
                "Batch normalisation uses the statistics of the batch and not those of training. "
                "If answers depend on which images come together, images are served one at a "
                "time. If there is a placeholder for training, set it to false." + instead,
                training,
            )
        )
    return found


def _about_batches(plan: Plan) -> list[Finding]:
    sides = plan.input.shape
    if not sides or sides[0] is None:
        return []
    return [
        finding(
            "fixed_batch",
            "note",
            f"The input takes exactly {_counted(sides[0], 'image')} at a time: batches are padded "
            "to that, unless `batch` is `free`.",
            [plan.input.name],
        )
    ]


def _about_ops(remaining: Graph) -> list[Finding]:
    found = []
    double = [
        node.name
        for node in remaining
        if node.attr["dtype"].type == tf.float64.as_datatype_enum and node.op != "Const"
    ]
    if double:
        found.append(
            finding(
                "float64",
                "note",
                "Parts of the network compute in float64, which is twice as large as float32 and "
                "slower.",
                double,
            )
        )
    old = [
        node
        for node in remaining
        if (known := op_def(node.op)) is not None and known.HasField("deprecation")
    ]
    if old:
        ops = ", ".join(dict.fromkeys(node.op for node in old))
        found.append(
            finding(
                "deprecated_ops",
                "note",
                f"TensorFlow has deprecated the op(s) {ops}; they still work here.",
                [node.name for node in old],
            )
        )
    return found


def _about_size(predicted_bytes: int) -> list[Finding]:
    if predicted_bytes <= MOST_BYTES:
        return []
    return [
        finding(
            "too_large",
            "error",
            f"The frozen graph would have {binary_size(predicted_bytes)}; a .pb file can hold "
            "2 GiB.",
        )
    ]


def _holds_absolute_path(node: Any) -> bool:
    tensor = node.attr["value"].tensor
    if base_type(tensor.dtype) != tf.string.as_datatype_enum:
        return False
    return any(_ABSOLUTE.match(value) for value in tensor.string_val[:_MOST_NODES])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
