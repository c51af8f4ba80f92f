"""Proof that a graph file answers as its source does, each run in a process of its own."""

import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from freezing.choosing.plan import Plan
from freezing.graph.dropout import suggested_values
from freezing.graph.graph import RANDOM_OPS
from freezing.running.failures import capital
from freezing.running.forks import Apart, apart
from freezing.running.reasons import reason
from freezing.running.steps import Report
from freezing.verifying.answers import (
    Array,
    Expected,
    Run,
    in_pieces,
    load_answers,
    save_answers,
)
from freezing.verifying.differences import (
    difference,
    is_text,
    relative_difference,
    same_best,
    tolerated_difference,
    wide,
)
from freezing.verifying.graph_runner import run_file
from freezing.verifying.row_independence import influence, influence_alone, other_company
from freezing.verifying.verification import GraphComparison, OutputComparison
from worker.errors import FreezeError, VerificationError

# How far batches of different sizes may be apart by rounding alone, which half precision and fake
# quantisation make large: what is nearer is compared with a batch of the same size.
_ROUNDING = 0.02
_FAILURES = (tf.errors.OpError, ValueError)


class NotDeterministicError(VerificationError):
    """The source answers differently each time."""

    code = "not_deterministic"


class SourceFailsError(FreezeError):
    """The source itself cannot be run on samples."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a source answers to the samples; each list holds one array (images, ...) per output."""

    batch: int | None  # the only batch size that is taken; None for any
    together: list[Array]  # in batches of that size, or all samples in one
    alone: list[Array] | None  # one by one; None where that cannot be
    mixes: bool  # whether the answer for an image changes with the images beside it
    influence: float  # how far, as the tolerance counts it

    @property
    def rows(self) -> npt.NDArray[np.float64]:
        """The first output as (images, columns)."""
        return wide(self.together[0]).reshape(len(self.together[0]), -1)

    @property
    def columns(self) -> int:
        """How many numbers the first output has per image."""
        return math.prod(self.together[0].shape[1:])

    def save(self, plan: Plan, inputs: Array, folder: Path) -> Expected:
        """Write them and the samples into `folder`, for `verify`."""
        sizes = [self.batch or len(inputs)] + ([1] if self.alone is not None else [])
        expected = Expected(
            folder=folder,
            input=plan.input,
            outputs=tuple(plan.outputs),
            samples=len(inputs),
            sizes=tuple(dict.fromkeys(sizes)),
        )
        expected.save_inputs(inputs)
        if self.alone is not None:
            save_answers(folder, 1, self.alone)
        save_answers(folder, sizes[0], self.together)
        return expected


def observe(plan: Plan, source: Run, inputs: Array, tolerance: float) -> Answers:
    """Return the source's answers to `inputs`, in a batch and one by one.

    Where the graph takes one batch size only, that size is used. Raises `NotDeterministicError`
    where the source contradicts itself, `VerificationError` where it answers NaN, and
    `FreezeError` where it cannot be run.
    """
    batch, together = first_answers(plan, source, inputs)
    _check_numbers(plan, together)
    count = len(inputs)
    elsewhere = _tried(source, other_company(inputs, fewer=True), batch)
    alone = None
    if batch is None:
        alone = _tried(source, inputs, 1)
        if alone is None:  # the samples happen to be as many as the size that the graph insists on
            batch = count
            elsewhere = _tried(source, other_company(inputs, fewer=True), batch)
    moved = math.inf if elsewhere is None else influence(together, elsewhere, count)
    if alone is not None:
        moved = max(moved, influence_alone(together, alone, count))
    if moved > tolerance:
        _refuse_chance(plan, together, in_pieces(source, inputs, batch), tolerance)
        if moved <= _ROUNDING:
            others = in_pieces(source, other_company(inputs, fewer=False), batch)
            moved = influence(together, others, count)
    return Answers(
        batch=batch, together=together, alone=alone, mixes=moved > tolerance, influence=moved
    )


def _tried(run: Run, inputs: Array, size: int | None) -> list[Array] | None:
    """Return the answers in pieces of `size`; None where the graph does not take that many."""
    try:
        return in_pieces(run, inputs, size)
    except tf.errors.ResourceExhaustedError:
        raise
    except _FAILURES:
        return None


def _refuse_chance(plan: Plan, first: list[Array], second: list[Array], tolerance: float) -> None:
    for tensor, a, b in zip(plan.outputs, first, second, strict=True):
        if tolerated_difference(a, b) > tolerance:
            raise NotDeterministicError(
                f"The source answers differently each time ({tensor.name} by "
                f"{difference(a, b):.2g}): {_random_reason(plan)}"
            )


def verify(
    report: Report,
    graph: Path,
    expected: Expected,
    tolerance: float,
    *,
    called: str = "the frozen graph",
    sizes: Sequence[int] = (),
    apart: Apart = apart,
) -> GraphComparison:
    """Run the graph file (.pb or .onnx) apart, on the source's samples, and compare the answers.

    The samples are run in pieces of the given sizes, else in those of the source and in few where
    it takes any number, each compared with the source's answers. `called` names the graph in
    sentences, as in "the frozen graph".

    Raises `VerificationError` where an output differs by more than `tolerance`, relative to its
    largest answer where that is above 1, `NotRunnableError` where the file cannot be loaded or
    run, and `CrashedError` and `MemoryError` where running it ended its process. Nothing is left
    of what it wrote.
    """
    sizes = sizes or expected.run_in
    folder = Path(tempfile.mkdtemp(prefix="answers-", dir=expected.folder))
    try:
        apart(
            report,
            run_file,
            *(graph, expected, sizes, folder, called),
            doing=f"running {called}",
            write=[folder],
        )
        return _compare(expected, folder, sizes, tolerance, called)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _compare(
    expected: Expected, folder: Path, sizes: Sequence[int], tolerance: float, called: str
) -> GraphComparison:
    pairs = [
        list(zip(expected.answers(size), load_answers(folder, size, expected.outputs), strict=True))
        for size in sizes
    ]
    rows = []
    for tensor, *of_output in zip(expected.outputs, *pairs, strict=True):
        for a, b in of_output:
            _check_equal(tensor.name, a, b, tolerance, called)
        rows.append(
            OutputComparison(
                name=tensor.name,
                max_abs_difference=max(difference(a, b) for a, b in of_output),
                max_relative_difference=max(relative_difference(a, b) for a, b in of_output),
                top1_agreement=same_best(*of_output[0]),
            )
        )
    return GraphComparison(
        samples=expected.samples,
        tolerance=tolerance,
        max_abs_difference=max(row.max_abs_difference for row in rows),
        max_relative_difference=max(row.max_relative_difference for row in rows),
        top1_agreement=rows[0].top1_agreement or 0.0,
        outputs=rows,
    )


def first_answers(plan: Plan, run: Run, inputs: Array) -> tuple[int | None, list[Array]]:
    """Return the only batch size that works (None: any) and the answers in batches of it."""
    shape = plan.input.shape
    sizes: list[int | None] = [shape[0]] if shape else [None]
    if sizes == [None]:
        # A Reshape inside may fix the size although the placeholder leaves it open.
        inner = {tensor.shape[0] for tensor in plan.outputs if tensor.shape}
        sizes += [*sorted(size for size in inner if size), 1]
    failure: Exception | None = None
    for size in dict.fromkeys(sizes):
        try:
            return size, in_pieces(run, inputs, size)
        except tf.errors.ResourceExhaustedError:
            raise
        except _FAILURES as error:
            failure = failure or error
    why = reason(failure) if failure else "no batch size works"
    raise SourceFailsError(f"The source cannot be run on samples: {why}.") from failure


def _check_numbers(plan: Plan, answers: list[Array]) -> None:
    for tensor, answer in zip(plan.outputs, answers, strict=True):
        if not is_text(answer) and np.isnan(wide(answer)).any():
            raise VerificationError(
                f"The source itself answers {tensor.name} with NaN (not a number) for sample "
                "images: its training may have diverged, or the preprocessing is not its own."
            )


def _check_equal(name: str, expected: Array, found: Array, tolerance: float, called: str) -> None:
    if expected.shape != found.shape:
        raise VerificationError(
            f"{capital(called)} answers {name} with the shape {found.shape}, the source with "
            f"{expected.shape}. Nothing was published."
        )
    if not tolerated_difference(expected, found) <= tolerance:
        raise VerificationError(
            f"{capital(called)}'s {name} differs from its source's by up to "
            f"{difference(expected, found):.3g}; {tolerance:g} is allowed. Nothing was published."
        )


def _random_reason(plan: Plan) -> str:
    random = [node.name for node in plan.graph if node.op.startswith(RANDOM_OPS)]
    found: dict[str, float] = {}
    for name in random:
        found |= suggested_values(plan.graph, name)
    if found:
        settings = " ".join(f"--set {name}={value}" for name, value in found.items())
        return f"dropout is on. Turn it off with {settings}"
    drawn = f"it draws random numbers in '{random[0]}'. " if random else ""
    return (
        f"{drawn}If dropout is on, turn it off with --set, for instance --set keep_prob=1.0; if "
        "the graph is in training mode, --set is_training=false."
    )
