"""From the source to a written graph and the source's own answers, all in one process."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from freezing.audit import audit
from freezing.freeze import freeze
from freezing.graphs import Endpoint, Graph
from freezing.labels import known_labels
from freezing.parameters import Layer, total
from freezing.plan import Plan, make_plan
from freezing.preparation import Guess, guess_scaling
from freezing.roles import count_removed
from freezing.samples import COUNT, sample_inputs
from freezing.scores import check_labels, final_op, resolve_scores
from freezing.sessions import Original
from freezing.sources.opening import open_source
from freezing.sources.source import Choice, Source
from freezing.steps import Report, Step
from freezing.verify import observe
from worker.errors import FreezeError, InvalidRequestError
from worker.jobs.requests import FreezeRequest
from worker.models.manifest import Tensor
from worker.models.preprocessing import (
    Preprocessing,
    PreprocessingSpec,
    resolve_preprocessing,
)

_VALUES = frozenset({"preset", "scale", "mean", "std"})  # what says which numbers pixels become


class NotScoresError(FreezeError):
    """The first output does not hold one row of scores per image."""

    code = "not_scores"


class NotAnImageInputError(FreezeError):
    """The input does not take images."""

    code = "not_an_image_input"


def freeze_source(report: Report, order: dict[str, Any]) -> dict[str, Any]:
    """Freeze the source into the file `graph` and write what the source itself answers beside it.

    The order is that of `process.freeze`. Returns `outcome`, what a manifest and a result need
    less the verification, and `expected`, what the graph must answer. Raises `FreezeError` and its
    subclasses; nothing needs to be undone, since only the graph's folder is written to.
    """
    request, graph_path = FreezeRequest.parse(order["request"]), Path(order["graph"])
    tolerance = order["tolerance"]
    report.step(Step.READ)
    choice = Choice(
        signature=request.signature,
        checkpoint=request.checkpoint,
        allow_code=order["allow_code"],
    )
    opened = open_source(Path(order["source"]), choice)
    report.log(
        f"Read the {opened.kind} {opened.name}: {len(opened.graph_def.node)} nodes, "
        f"{_mb(opened.bytes)}."
    )
    plan = make_plan(opened, request)
    _check_scores(plan.outputs[0])
    _preprocessing(request.preprocessing, plan)  # refuses what takes no images
    report.step(Step.FREEZE)
    outputs = ", ".join(tensor.name for tensor in plan.outputs)
    report.log(f"{len(plan.outputs)} output(s), {outputs}, with the input {plan.input.name}.")
    made = _freeze_into(graph_path, plan, opened)
    report.log(f"Froze {len(made.names)} nodes, {_mb(graph_path.stat().st_size)}.")
    spec = _with_guess(request.preprocessing, made.guess)
    preprocessing = _preprocessing(spec, plan)
    report.step(Step.RUN_SOURCE)
    samples = [Path(path) for path in order["samples"]]
    inputs = sample_inputs(
        preprocessing,
        tf.as_dtype(plan.input.dtype).as_numpy_dtype,
        samples,
        most_pixels=order["most_pixels"],
    )
    report.log(f"{COUNT} made up samples and {len(samples)} of the job.")
    with Original(plan, opened.values) as session:
        answers = observe(plan, session.run, inputs, tolerance)
    _check_columns(plan.outputs[0], answers.together[0])
    warnings = [*opened.warnings, *plan.warnings, *made.warnings]
    columns = answers.rows.shape[1]
    check_labels(request.labels, columns, plan.outputs[0].name)
    labels = request.labels or known_labels(opened, columns, warnings)
    scores = resolve_scores(request.scores, made.final_op, answers.rows, warnings)
    warnings += _assumptions(
        request, preprocessing, made.guess, answers.depends_on_batch(tolerance)
    )
    outcome = {
        "inputs": [_with_batch(plan.input, answers.batch).model_dump()],
        "outputs": [tensor.model_dump() for tensor in plan.outputs],
        "preprocessing": preprocessing.model_dump(),
        "labels": labels,
        "scores": scores,
        "source": opened.describe(),
        "bytes_before": opened.bytes,
        "bytes_after": graph_path.stat().st_size,
        "nodes_before": len(opened.graph_def.node),
        "nodes_after": len(made.names),
        "parameters": total(made.layers),
        "layers": made.layers,
        "removed": count_removed(Graph(opened.graph_def), made.names),
        "audit": made.audit,
        "warnings": list(dict.fromkeys(warnings)),
    }
    expected = answers.save(plan, inputs, graph_path.parent)
    return {"outcome": outcome, "expected": expected.as_json()}


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What is told of a frozen graph once it is on disk and no longer in memory."""

    names: frozenset[str]  # of its nodes
    final_op: str  # what computes the first output
    layers: list[Layer]
    audit: dict[str, Any]
    guess: Guess  # of how its input is scaled
    warnings: list[str]


def _freeze_into(path: Path, plan: Plan, source: Source) -> _Made:
    frozen = freeze(plan, source.values)
    audited = audit(frozen.graph)
    frozen.graph.write(path)
    return _Made(
        names=frozenset(frozen.graph.nodes),
        final_op=final_op(frozen.graph, Endpoint.parse(plan.outputs[0].name)),
        layers=frozen.layers,
        audit=audited,
        guess=guess_scaling(frozen.graph, Endpoint.parse(plan.input.name)),
        warnings=frozen.warnings,
    )


def _with_guess(asked: PreprocessingSpec, guess: Guess) -> PreprocessingSpec:
    """Return what was asked for, with the scaling that the graph shows where none was."""
    given = asked.model_dump(exclude_none=True)
    if given.keys() & _VALUES:
        return asked
    return asked.model_copy(
        update={key: getattr(guess.spec, key) for key in _VALUES if getattr(guess.spec, key)}
    )


def _preprocessing(asked: PreprocessingSpec, plan: Plan) -> Preprocessing:
    dtype = tf.as_dtype(plan.input.dtype)
    if not (dtype.is_floating or dtype.is_integer):
        raise NotAnImageInputError(
            f"The input {plan.input.name} takes {dtype.name}, not pixels: name the tensor of the "
            "decoded image with `inputs` (--input)."
        )
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
    request: FreezeRequest, preprocessing: Preprocessing, guess: Guess, depends_on_batch: bool
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
        why = f": {'; '.join(guess.reasons)}" if guess.reasons else ""
        found.append(
            f"How images are prepared was not given. It was assumed: {preprocessing.color.upper()},"
            f" {preprocessing.resize} to {height}x{width}, values from {low:g} to {high:g}{why}."
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
