"""A source frozen and asked for its own answers, as they are to be served."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from freezing.auditing.audit import audit
from freezing.choosing.labels import known_labels
from freezing.choosing.plan import Plan, make_plan
from freezing.choosing.preprocessing.clues import PreprocessingClues, look
from freezing.choosing.preprocessing.deciding import decide
from freezing.choosing.preprocessing_guess import Guess
from freezing.choosing.statistics import Normalising
from freezing.choosing.usage import Prepared, prepared_by, refuse_classes
from freezing.converting.freeze import freeze
from freezing.converting.parameters import LayerParameters
from freezing.converting.variables import variables_needed
from freezing.graph.batch_statistics import is_training
from freezing.graph.content import Contents, Trace
from freezing.graph.flow import Flow
from freezing.graph.graph import Endpoint, Graph
from freezing.optimising.batch import fixed_batch, free_batch
from freezing.proving.freeze_examples import Proven, prove
from freezing.running.limited_runs import limited
from freezing.running.orders import FreezeOrder
from freezing.running.steps import FreezeStep, Report
from freezing.sources.averages import averages_of, take_averages
from freezing.sources.source import Source, Values
from freezing.verifying.answers import Array, fitted
from freezing.verifying.number_samples import sample_numbers
from freezing.verifying.range_probe import answered
from freezing.verifying.samples import COUNT, sample_inputs
from freezing.verifying.score_kind import check_labels
from freezing.verifying.sessions import Original, SampleSession
from freezing.verifying.single_images import RowsNotIndependentError, one_at_a_time
from freezing.verifying.verify import Answers, SourceFailsError, observe
from worker.contract.source_requests import FreezeRequest
from worker.formatting import size
from worker.models.manifest import Tensor
from worker.models.preprocessing import Preprocessing

# How scaling is known where the source's own answers may know better.
_ASKED = ("recognised", "assumed")
_DEPENDS_ON_BATCH = (
    "Answers depend on what comes together in a batch. If there is a placeholder for training, set "
    "it, for instance --set is_training=false."
)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What is told of a frozen graph once it is on disk and no longer in memory."""

    names: frozenset[str]  # of its nodes
    input: Tensor
    outputs: list[Tensor]
    is_freed: bool  # of a fixed batch size
    mixing: list[str]  # nodes that normalise with the statistics of the batch
    answer: Trace  # what the first output is made of
    layers: list[LayerParameters]
    audit: dict[str, Any]
    findings: PreprocessingClues  # of how images become its input
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A frozen graph, and what the source answers that it was made from."""

    plan: Plan
    made: Made
    prepared: Prepared | None  # how images are; None where it takes none
    proven: Proven | None
    labels: list[str] | None
    inputs: Array  # the samples
    answers: Answers  # as they are to be served
    batch: int | None  # the only size that the source takes
    warnings: list[str]
    unlike: list[str]  # what is not as images usually are


def ask(
    report: Report,
    order: FreezeOrder,
    opened: Source,
    request: FreezeRequest,
    *,
    has_averages: bool = True,
) -> Asked:
    """Freeze into the graph's file, and ask the source for its answers to samples.

    `has_averages` is false where those of statistics that the source keeps are of no use.
    """
    graph_path, tolerance = order.graph, order.tolerance
    plan = make_plan(opened, request)
    if not has_averages:
        plan = replace(plan, normalising=Normalising())
    if prepared_by(request, plan, Guess(), []) is not None:
        refuse_classes(request, plan)  # and the other refuses where it cannot be images
    report.step(FreezeStep.FREEZE)
    outputs = ", ".join(tensor.name for tensor in plan.outputs)
    report.log(f"{len(plan.outputs)} output(s), {outputs}, with the input {plan.input.name}.")
    warnings = [*opened.warnings, *plan.warnings]
    averages = averages_of(opened.values, Graph(opened.graph_def), variables_needed(plan.graph))
    values = take_averages(opened.values, averages, asked=request.averages, warnings=warnings)
    made = _freeze_into(graph_path, plan, values, request)
    warnings += made.warnings
    report.log(f"Froze {len(made.names)} nodes, {size(graph_path.stat().st_size)}.")
    report.step(FreezeStep.RUN_SOURCE)
    proven: Proven | None = None
    with Original(plan, values) as session:
        unlike, prepared = _prepare(request, plan, made, session)
        preprocessing = None if prepared is None else prepared.preprocessing
        candidates = _samples(report, order, plan, preprocessing)
        inputs, answers = _observe(plan, candidates, session, tolerance)
        if answers.mixes and plan.normalising.uses_averages:
            request = _without_averages(report, request)
            return ask(report, order, opened, request, has_averages=False)
        batch, answers = answers.batch, _settled(answers, plan, made, prepared, warnings)
        check_labels(request.labels, answers.columns, plan.outputs[0].name)
        labels = request.labels or known_labels(opened, answers.columns, warnings)
        if order.examples is not None:
            proven = prove(
                *(report, order, session, plan, request, prepared),
                labels=labels,
                answer=made.answer,
                batch=answers.batch,
            )
            labels = labels or proven.labels
            warnings += proven.warnings
            if proven.prepared.preprocessing != preprocessing:
                candidates = _samples(report, order, plan, proven.prepared.preprocessing)
                inputs, answers = _observe(plan, candidates, session, tolerance)
                answers = _settled(answers, plan, made, prepared, warnings)
            prepared = proven.prepared
    return Asked(
        plan=plan,
        made=made,
        prepared=prepared,
        proven=proven,
        labels=labels,
        inputs=inputs,
        answers=answers,
        batch=batch,
        warnings=warnings,
        unlike=unlike,
    )


def _without_averages(report: Report, request: FreezeRequest) -> FreezeRequest:
    """Return the request for a source that keeps averages of some statistics and not of others."""
    if request.statistics == "moving":
        raise RowsNotIndependentError(
            "With the moving averages in place the answer for an image still changes with the "
            "images beside it: leave `statistics` out (--statistics)."
        )
    report.log("Some of what is taken from a batch has no moving average: without them, then.")
    return request.model_copy(update={"statistics": "image"})


def _settled(
    answers: Answers, plan: Plan, made: Made, prepared: Prepared | None, warnings: list[str]
) -> Answers:
    """Return the answers as they are to be served: one by one where images change each other's."""
    if not answers.mixes:
        return answers
    if prepared is None:
        warnings.append(_DEPENDS_ON_BATCH)
        return answers
    return one_at_a_time(answers, plan, made.mixing, warnings)


def _prepare(
    request: FreezeRequest, plan: Plan, made: Made, session: SampleSession
) -> tuple[list[str], Prepared | None]:
    """Return what looks odd in how images are prepared, and how they are.

    The source is asked where nothing else tells which numbers it takes.
    """
    guess = decide(made.findings)
    prepared = prepared_by(request, plan, guess, [])
    if prepared is not None and prepared.basis.fields.get("scaling") in _ASKED:
        run = fitted(session.run, plan.input)
        with limited("running the source on made up pictures"):
            known = answered(run, plan, prepared.preprocessing, made.findings.final_op)
        guess = decide(made.findings, known)
    unlike: list[str] = []
    return unlike, prepared_by(request, plan, guess, unlike)


def _samples(
    report: Report, order: FreezeOrder, plan: Plan, preprocessing: Preprocessing | None
) -> Iterable[Array]:
    """Return the samples to ask the source; several where the first may not be to its liking."""
    images = order.samples
    if preprocessing is None:
        left_out = f" The {len(images)} sample image(s) of the job are left out." if images else ""
        report.log(f"{COUNT} samples of random numbers.{left_out}")
        return sample_numbers(plan)
    dtype = tf.as_dtype(plan.input.dtype).as_numpy_dtype
    found = sample_inputs(preprocessing, dtype, images, most_pixels=order.most_pixels)
    report.log(f"{COUNT} made up samples and {len(images)} of the job.")
    return [found]


def _observe(
    plan: Plan, candidates: Iterable[Array], session: SampleSession, tolerance: float
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


def _freeze_into(path: Path, plan: Plan, values: Values, request: FreezeRequest) -> Made:
    frozen = freeze(plan, values)
    tensors = plan.input, plan.outputs
    batch = fixed_batch(plan) if request.batch == "free" else None
    if batch is not None:
        tensors = free_batch(frozen.graph, plan, batch)
    audited = audit(frozen.graph)
    frozen.graph.write(path)
    return Made(
        names=frozenset(frozen.graph.nodes),
        input=tensors[0],
        outputs=tensors[1],
        is_freed=batch is not None,
        mixing=[node.name for node in frozen.graph if is_training(node)],
        answer=Contents(Flow(frozen.graph)).trace(Endpoint.parse(plan.outputs[0].name)),
        layers=frozen.layers,
        audit=audited,
        findings=look(frozen.graph, plan.input, plan.outputs[0]),
        warnings=frozen.warnings,
    )
