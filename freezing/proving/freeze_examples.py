"""The examples of a freeze: what they decide before it, and how many are right after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from freezing.choosing.plan import Plan
from freezing.choosing.usage import Prepared
from freezing.graph.content import Trace
from freezing.proving.check import Check
from freezing.proving.evidence import score
from freezing.proving.proof import accuracy, basis_of, prior_of, proof_of
from freezing.proving.prove import Decision, Prover
from freezing.proving.scoring import Scoring, scores_of
from freezing.running.forks import Apart
from freezing.running.orders import FreezeOrder
from freezing.running.steps import FreezeStep, Report
from freezing.verifying.answers import Expected, fitted, load_answers
from freezing.verifying.graph_runner import run_file
from freezing.verifying.sessions import SampleSession
from worker.contract.source_requests import FreezeRequest
from worker.errors import ExamplesError
from worker.images.decode import Limits
from worker.images.examples import find_examples
from worker.models.basis import Basis
from worker.models.preprocessing import PreprocessingSpec
from worker.models.proof import Accuracy, Proof
from worker.printable import printable

_MOST_NAMED = 20  # labels in a sentence
_FOLDER = "proof"  # beside the graph: the examples as they were taken


@dataclass(frozen=True, kw_only=True)
class Proven:
    """What the examples decided."""

    prepared: Prepared
    labels: list[str] | None  # made up of the examples', where the model has none
    proof: Proof
    check: Check  # what `after_freezing` takes
    warnings: list[str]


def prove(
    report: Report,
    order: FreezeOrder,
    session: SampleSession,
    plan: Plan,
    request: FreezeRequest,
    prepared: Prepared | None,
    *,
    labels: Sequence[str] | None,
    answer: Trace,
    batch: int | None = None,
) -> Proven:
    """Try ways of preparing images on the examples of an order, with the source in its session.

    `prepared` is what is taken without them, `labels` are the model's, `answer` tells what its
    first output is made of, and `batch` is how many images it is run with (None: any number). The
    examples are left beside the graph, prepared as was decided. Raises `ExamplesError`,
    `ExampleLabelError`, `ExamplesDoNotFitError` and `OtherOrderError`.
    """
    report.step(FreezeStep.PROVE)
    if order.examples is None or prepared is None:
        raise ExamplesError(
            f"The input {plan.input} does not take images, so that examples say nothing about it: "
            "leave them out, or name another input with --input."
        )
    dtype = tf.as_dtype(plan.input.dtype).as_numpy_dtype
    limits = Limits(pixels=order.most_pixels)
    prover = Prover(find_examples(order.examples), prepared.preprocessing, dtype, limits)
    scoring = Scoring(fitted(session.run, plan.input), plan, request.scores, answer, batch)
    decision = prover.decide(
        scoring,
        labels=labels,
        held=_stated(request.preprocessing, prepared.basis),
        prior=prior_of(prepared.preprocessing, prepared.basis),
        log=report.log,
    )
    taken = decision.taken.candidate.preprocessing
    expected = Expected(
        folder=order.graph.parent / _FOLDER,
        input=plan.input,
        outputs=tuple(plan.outputs),
        samples=len(decision.classes),
        sizes=(scoring.at_once,),
    )
    expected.folder.mkdir()
    expected.save_inputs(prover.inputs(taken))
    check = Check(expected=expected, scores=scoring.kind, classes=decision.classes.tolist())
    return Proven(
        prepared=Prepared(taken, basis_of(decision, prepared.basis)),
        labels=decision.labels,
        proof=proof_of(decision, prover),
        check=check,
        warnings=_warnings(decision, prover),
    )


def _warnings(decision: Decision, prover: Prover) -> list[str]:
    said = []
    if decision.labels is not None:
        shown = ", ".join(map(printable, decision.labels[:_MOST_NAMED]))
        said.append(
            "The model has no labels: those of the examples were taken, in the order that fits "
            f"them ({shown}). If they are others, say so with --labels."
        )
    unreadable = prover.pictures.unreadable
    if unreadable:
        said.append(f"{len(unreadable)} example(s) cannot be read. {unreadable[0]}")
    return said


def after_freezing(report: Report, graph: Path, check: Check, *, apart: Apart) -> Accuracy:
    """Return how many examples the frozen graph (.pb or .onnx) gets right; it is run apart."""
    expected = check.expected.model_copy(update={"folder": graph.parent / _FOLDER})
    size = expected.sizes[0]
    answers = expected.folder / "answers"
    answers.mkdir(exist_ok=True)
    apart(
        report,
        run_file,
        *(graph, expected, [size], answers, "the frozen graph"),
        doing="running the frozen graph on the examples",
        write=[answers],
    )
    rows = load_answers(answers, size, expected.outputs)[0]
    scores = scores_of(rows.reshape(len(rows), -1), check.scores)
    classes = np.array(check.classes, np.int_)
    return accuracy(score(scores, classes), len(classes))


def _stated(asked: PreprocessingSpec, basis: Basis) -> frozenset[str]:
    """Return the fields that a person stated, and the colours where those come with them."""
    color = {"color"} if basis.fields.get("color") == "stated" else set()
    return frozenset(asked.model_dump(exclude_none=True)) | color
