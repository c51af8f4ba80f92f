"""A freeze from source to verified graph file: the steps, in order. Runs in the child process."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from freezing.freeze import freeze
from freezing.graphs import Endpoint, Graph
from freezing.parameters import Layer, total
from freezing.plan import Plan, make_plan
from freezing.roles import count_removed
from freezing.samples import sample_inputs
from freezing.scores import check_labels, final_op, resolve_scores
from freezing.sessions import Original, Written
from freezing.sources.opening import open_source
from freezing.sources.source import Choice, Source
from freezing.verify import compare, observe
from worker.errors import FreezeError, InvalidRequestError
from worker.jobs.requests import FreezeRequest
from worker.models.manifest import Tensor
from worker.models.preprocessing import Preprocessing, resolve_preprocessing

Log = Callable[[str], None]
_VALUES = frozenset({"preset", "scale", "mean", "std"})  # what says which numbers pixels become


class NotScoresError(FreezeError):
    """The first output does not hold one row of scores per image."""

    code = "not_scores"


class NotAnImageInputError(FreezeError):
    """The input does not take images."""

    code = "not_an_image_input"


def run(
    request: FreezeRequest, source_path: Path, graph_path: Path, tolerance: float, log: Log
) -> dict[str, Any]:
    """Freeze the source into `graph_path` and return what a manifest and a result need of it.

    Steps are told to `log` as they begin. Raises `FreezeError` and its subclasses; nothing needs
    to be undone, since only `graph_path` is written.
    """
    log("Reading the source ...")
    source = open_source(
        source_path, Choice(signature=request.signature, checkpoint=request.checkpoint)
    )
    log(
        f"Read the {source.kind} {source.name}: {len(source.graph_def.node)} nodes, "
        f"{_mb(source.bytes)}."
    )
    plan = make_plan(source, request)
    _check_scores(plan.outputs[0])
    preprocessing = _preprocessing(request, plan)
    outputs = ", ".join(tensor.name for tensor in plan.outputs)
    log(f"Freezing {len(plan.outputs)} output(s), {outputs}, with the input {plan.input.name} ...")
    made = _freeze_into(graph_path, plan, source)
    log(f"Froze {len(made.names)} nodes, {_mb(graph_path.stat().st_size)}.")
    inputs = sample_inputs(preprocessing, tf.as_dtype(plan.input.dtype).as_numpy_dtype)
    log(f"Verifying on {len(inputs)} samples ...")
    with Original(plan, source.values) as session:
        answers = observe(plan, session.run, inputs, tolerance)
    with Written(plan, graph_path) as session:
        verification = compare(plan, answers, session.run, inputs, tolerance)
    log(
        f"Verified: the largest difference is {verification.max_abs_difference:.2g}, the best "
        f"class is the same for {verification.top1_agreement:.0%} of the samples."
    )
    _check_columns(plan.outputs[0], answers.together[0])
    warnings = [*source.warnings, *plan.warnings, *made.warnings]
    check_labels(request.labels, answers.rows.shape[1], plan.outputs[0].name)
    scores = resolve_scores(request.scores, made.final_op, answers.rows, warnings)
    warnings += _assumptions(request, preprocessing, answers.depends_on_batch(tolerance))
    return {
        "inputs": [_with_batch(plan.input, answers.batch).model_dump()],
        "outputs": [tensor.model_dump() for tensor in plan.outputs],
        "preprocessing": preprocessing.model_dump(),
        "scores": scores,
        "source": source.describe(),
        "bytes_before": source.bytes,
        "bytes_after": graph_path.stat().st_size,
        "nodes_before": len(source.graph_def.node),
        "nodes_after": len(made.names),
        "parameters": total(made.layers),
        "layers": made.layers,
        "removed": count_removed(Graph(source.graph_def), made.names),
        "verification": asdict(verification),
        "warnings": list(dict.fromkeys(warnings)),
    }


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What is told of a frozen graph once it is on disk and no longer in memory."""

    names: frozenset[str]  # of its nodes
    final_op: str  # what computes the first output
    layers: list[Layer]
    warnings: list[str]


def _freeze_into(path: Path, plan: Plan, source: Source) -> _Made:
    frozen = freeze(plan, source.values)
    frozen.graph.write(path)
    return _Made(
        names=frozenset(frozen.graph.nodes),
        final_op=final_op(frozen.graph, Endpoint.parse(plan.outputs[0].name)),
        layers=frozen.layers,
        warnings=frozen.warnings,
    )


def _preprocessing(request: FreezeRequest, plan: Plan) -> Preprocessing:
    dtype = tf.as_dtype(plan.input.dtype)
    if not (dtype.is_floating or dtype.is_integer):
        raise NotAnImageInputError(
            f"The input {plan.input.name} takes {dtype.name}, not pixels: name the tensor of the "
            "decoded image with `inputs` (--input)."
        )
    asked = request.preprocessing
    if plan.takes_bytes and not asked.model_dump(exclude_none=True).keys() & _VALUES:
        asked = asked.model_copy(update={"preset": "raw"})
    try:
        return resolve_preprocessing(asked, plan.input.shape, plan.input.dtype)
    except InvalidRequestError as error:
        raise NotAnImageInputError(
            f"{error} Only models that take images can be served."
        ) from error


def _check_scores(first: Tensor) -> None:
    if not tf.as_dtype(first.dtype).is_floating:
        raise NotScoresError(
            f"The first output {first.name} holds {first.dtype}, not scores: name the node before "
            "it, such as the softmax before an argmax."
        )


def _check_columns(first: Tensor, answer: Any) -> None:
    sides = answer.shape[1:]
    if answer.size == 0 or math.prod(sides) != max(sides, default=1):
        raise NotScoresError(
            f"The first output {first.name} has the shape {list(sides)} per image, which is not "
            "one row of scores: name the node that gives the classes."
        )


def _assumptions(
    request: FreezeRequest, preprocessing: Preprocessing, depends_on_batch: bool
) -> list[str]:
    """Return what was taken for granted and should be looked at."""
    found = []
    given = request.preprocessing.model_dump(exclude_none=True)
    if not given.keys() & _VALUES:
        low, high = (
            (value * preprocessing.scale - preprocessing.mean[0]) / preprocessing.std[0]
            for value in (0, 255)
        )
        height, width = preprocessing.size
        found.append(
            f"How images are prepared was not given. It was assumed: {preprocessing.color.upper()},"
            f" {preprocessing.resize} to {height}x{width}, values from {low:g} to {high:g}."
        )
    if depends_on_batch:
        found.append(
            "Answers depend on which images come together in a batch, as in training mode. If "
            "there is a placeholder for training, set it, for instance --set is_training=false."
        )
    return found


def _with_batch(tensor: Tensor, batch: int | None) -> Tensor:
    """Return the tensor with the batch size that the graph insists on."""
    if batch is None or not tensor.shape or tensor.shape[0] is not None:
        return tensor
    return tensor.model_copy(update={"shape": [batch, *tensor.shape[1:]]})


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
