"""From the source to a written graph and the source's own answers, all in one process."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from freezing.auditing.audit import audit
from freezing.choosing.labels import known_labels
from freezing.choosing.plan import Plan, make_plan
from freezing.choosing.preparation import Guess
from freezing.choosing.preprocessing.deciding import decide
from freezing.choosing.preprocessing.findings import Findings, look
from freezing.choosing.serving import (
    Prepared,
    choose_preprocessing,
    gives_scores,
    refuse_classes,
)
from freezing.converting.freeze import freeze
from freezing.converting.parameters import Layer, total
from freezing.graph.final_op import final_op
from freezing.graph.graph import Endpoint, Graph
from freezing.graph.roles import count_removed
from freezing.optimising.batch import fixed_batch, free_batch
from freezing.proving.freezes import Proven, prove
from freezing.running.runs import limited
from freezing.running.steps import Report, Step
from freezing.sources.opening import open_source
from freezing.sources.source import Source
from freezing.verifying.answered import answered
from freezing.verifying.answers import Array, fitted
from freezing.verifying.number_samples import sample_numbers
from freezing.verifying.samples import COUNT, sample_inputs
from freezing.verifying.scores import check_labels, resolve_scores
from freezing.verifying.sessions import GraphSession, Original
from freezing.verifying.verify import Answers, SourceFailsError, observe
from worker.jobs.requests import FreezeRequest
from worker.models.assumptions import assumption
from worker.models.manifest import Tensor
from worker.models.preprocessing import Preprocessing
from worker.sources.choice import Choice

# How scaling is known where the source's own answers may know better.
_ASKED = ("recognised", "assumed")
_DEPENDS_ON_BATCH = (
    "Answers depend on which images come together in a batch, as in training mode. If there is a "
    "placeholder for training, set it, for instance --set is_training=false."
)


def freeze_source(report: Report, order: dict[str, Any]) -> dict[str, Any]:
    """Freeze the source into the file `graph` and write what the source itself answers beside it.

    The order is that of `process.freeze`. Returns `outcome`, what a manifest and a result need
    less the verification, `expected`, what the graph must answer, and `check`, by what examples are
    asked of it. Raises `FreezeError` and its
    subclasses; nothing needs to be undone, since only the graph's folder is written to.
    """
    request, graph_path = FreezeRequest.parse(order["request"]), Path(order["graph"])
    tolerance = order["tolerance"]
    report.step(Step.READ)
    choice = Choice(
        signature=request.signature,
        checkpoint=request.checkpoint,
        allow_code=order["allow_code"],
        reach=[Path(one) for one in order["read"]],
    )
    opened = open_source(Path(order["source"]), choice)
    report.log(
        f"Read the {opened.kind_words} {opened.name}: {len(opened.graph_def.node)} nodes, "
        f"{_mb(opened.bytes)}."
    )
    plan = make_plan(opened, request)
    if choose_preprocessing(request.preprocessing, plan, Guess(), []) is not None:
        refuse_classes(request, plan)  # and the other refuses where it cannot be images
    report.step(Step.FREEZE)
    outputs = ", ".join(tensor.name for tensor in plan.outputs)
    report.log(f"{len(plan.outputs)} output(s), {outputs}, with the input {plan.input.name}.")
    made = _freeze_into(graph_path, plan, opened, request)
    report.log(f"Froze {len(made.names)} nodes, {_mb(graph_path.stat().st_size)}.")
    report.step(Step.RUN_SOURCE)
    warnings = [*opened.warnings, *plan.warnings, *made.warnings]
    proven: Proven | None = None
    with Original(plan, opened.values) as session:
        unlike, prepared = _prepare(request, plan, made, session)
        preprocessing = None if prepared is None else prepared.preprocessing
        candidates = _samples(report, order, plan, preprocessing)
        inputs, answers = _observe(plan, candidates, session, tolerance)
        check_labels(request.labels, answers.columns, plan.outputs[0].name)
        labels = request.labels or known_labels(opened, answers.columns, warnings)
        if order["examples"] is not None:
            proven = prove(
                report, order, session, plan, request, prepared, labels=labels, op=made.final_op
            )
            labels = labels or proven.labels
            warnings += proven.warnings
            if proven.prepared.preprocessing != preprocessing:
                preprocessing = proven.prepared.preprocessing
                candidates = _samples(report, order, plan, preprocessing)
                inputs, answers = _observe(plan, candidates, session, tolerance)
            prepared = proven.prepared
    scores = request.scores
    if preprocessing is not None:
        if gives_scores(request, plan, answers.together[0], warnings):
            scores = resolve_scores(request.scores, made.final_op, answers.rows, warnings)
        if answers.depends_on_batch(tolerance):
            warnings.append(_DEPENDS_ON_BATCH)
    warnings += unlike
    basis = None if prepared is None else prepared.basis
    warnings += filter(None, [assumption(request.name, preprocessing, basis)])
    batch = None if made.is_freed else answers.batch
    outcome = {
        "inputs": [_with_batch(made.input, batch).model_dump()],
        "outputs": [tensor.model_dump() for tensor in made.outputs],
        "batch": {"source": answers.batch, "served": batch},
        "preprocessing": None if preprocessing is None else preprocessing.model_dump(),
        "basis": None if basis is None else basis.model_dump(mode="json"),
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
        "examples": None if proven is None else proven.proof.model_dump(mode="json"),
        "warnings": list(dict.fromkeys(warnings)),
    }
    if made.is_freed:  # all together and one by one, each row must be the source's
        answers = replace(answers, batch=None, alone=answers.together)
    expected = answers.save(plan, inputs, graph_path.parent)
    return {
        "outcome": outcome,
        "expected": expected.as_json(),
        "check": None if proven is None else proven.check,
    }


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What is told of a frozen graph once it is on disk and no longer in memory."""

    names: frozenset[str]  # of its nodes
    input: Tensor
    outputs: list[Tensor]
    is_freed: bool  # of a fixed batch size
    final_op: str  # what computes the first output
    layers: list[Layer]
    audit: dict[str, Any]
    findings: Findings  # of how images become its input
    warnings: list[str]


def _prepare(
    request: FreezeRequest, plan: Plan, made: _Made, session: GraphSession
) -> tuple[list[str], Prepared | None]:
    """Return what looks odd in how images are prepared, and how they are.

    The source is asked where nothing else tells which numbers it takes.
    """
    guess = decide(made.findings)
    prepared = choose_preprocessing(request.preprocessing, plan, guess, [])
    if prepared is not None and prepared.basis.fields.get("scaling") in _ASKED:
        run = fitted(session.run, plan.input)
        with limited("running the source on made up pictures"):
            known = answered(run, plan, prepared.preprocessing, made.final_op)
        guess = decide(made.findings, known)
    unlike: list[str] = []
    return unlike, choose_preprocessing(request.preprocessing, plan, guess, unlike)


def _samples(
    report: Report, order: dict[str, Any], plan: Plan, preprocessing: Preprocessing | None
) -> Iterable[Array]:
    """Return the samples to ask the source; several where the first may not be to its liking."""
    images = [Path(path) for path in order["samples"]]
    if preprocessing is None:
        left_out = f" The {len(images)} sample image(s) of the job are left out." if images else ""
        report.log(f"{COUNT} samples of random numbers.{left_out}")
        return sample_numbers(plan)
    dtype = tf.as_dtype(plan.input.dtype).as_numpy_dtype
    found = sample_inputs(preprocessing, dtype, images, most_pixels=order["most_pixels"])
    report.log(f"{COUNT} made up samples and {len(images)} of the job.")
    return [found]


def _observe(
    plan: Plan, candidates: Iterable[Array], session: GraphSession, tolerance: float
) -> tuple[Array, Answers]:
    """Return the first samples on which the source can be run, and what it answers to them."""
    run = fitted(session.run, plan.input)
    failure: SourceFailsError | None = None
    for inputs in candidates:
        try:
            with limited("running the source on the samples"):
                return inputs, observe(plan, run, inputs, tolerance)
        except SourceFailsError as error:
            failure = failure or error
    raise failure or SourceFailsError("The source cannot be run on any sample.")


def _freeze_into(path: Path, plan: Plan, source: Source, request: FreezeRequest) -> _Made:
    frozen = freeze(plan, source.values)
    tensors = plan.input, plan.outputs
    batch = fixed_batch(plan) if request.batch == "free" else None
    if batch is not None:
        tensors = free_batch(frozen.graph, plan, batch)
    audited = audit(frozen.graph)
    frozen.graph.write(path)
    return _Made(
        names=frozenset(frozen.graph.nodes),
        input=tensors[0],
        outputs=tensors[1],
        is_freed=batch is not None,
        final_op=final_op(frozen.graph, Endpoint.parse(plan.outputs[0].name)),
        layers=frozen.layers,
        audit=audited,
        findings=look(frozen.graph, plan.input, plan.outputs[0]),
        warnings=frozen.warnings,
    )


def _with_batch(tensor: Tensor, batch: int | None) -> Tensor:
    """Return the tensor with the batch size that the graph insists on."""
    if batch is None or not tensor.shape or tensor.shape[0] is not None:
        return tensor
    return tensor.model_copy(update={"shape": [batch, *tensor.shape[1:]]})


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
