"""Proof that a frozen graph answers as its source does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from freezing.dropout import suggested_values
from freezing.plan import Plan
from freezing.reasons import reason
from worker.errors import FreezeError, VerificationError

Array = npt.NDArray[Any]
Run = Callable[[Array], list[Array]]  # a batch of inputs (images, ...) -> one array per output

RANDOM_OPS = ("Random", "TruncatedNormal", "Multinomial")  # how their names begin
_FAILURES = (tf.errors.OpError, ValueError)


class NotDeterministicError(VerificationError):
    """The source answers differently each time."""

    code = "not_deterministic"


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a source answers to the samples; each list holds one array (images, ...) per output."""

    batch: int | None  # the only batch size that the graph takes; None for any
    together: list[Array]  # in batches of that size, or all samples in one
    alone: list[Array] | None  # one by one; None where that cannot be

    @property
    def rows(self) -> npt.NDArray[np.float64]:
        """The first output as (images, columns)."""
        return _wide(self.together[0]).reshape(len(self.together[0]), -1)

    def depends_on_batch(self, tolerance: float) -> bool:
        """Whether an answer changes with the images beside it, as it does in training mode."""
        return self.alone is not None and any(
            _apart(a, b) > tolerance for a, b in zip(self.together, self.alone, strict=True)
        )


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How far a frozen graph is from its source."""

    samples: int
    max_abs_difference: float
    max_relative_difference: float  # to the largest answer of the same output
    top1_agreement: float  # share of samples whose highest score is the same, first output


def observe(plan: Plan, source: Run, inputs: Array, tolerance: float) -> Answers:
    """Return the source's answers to `inputs`, in a batch and one by one.

    Where the graph takes one batch size only, that size is used. Raises `NotDeterministicError`
    where the source contradicts itself, `VerificationError` where it answers NaN, and
    `FreezeError` where it cannot be run.
    """
    batch, together = _first_answers(plan, source, inputs)
    _check_numbers(plan, together)
    again = _in_pieces(source, inputs, batch)
    for tensor, first, second in zip(plan.outputs, together, again, strict=True):
        if _apart(first, second) > tolerance:
            raise NotDeterministicError(
                f"The source answers differently each time ({tensor.name} by "
                f"{_difference(first, second):.2g}): {_random_reason(plan)}"
            )
    if batch is not None:
        return Answers(batch=batch, together=together, alone=None)
    try:
        alone = _in_pieces(source, inputs, 1)
    except _FAILURES:
        # The samples happen to be as many as the size that the graph insists on.
        return Answers(batch=len(inputs), together=together, alone=None)
    return Answers(batch=None, together=together, alone=alone)


def compare(
    plan: Plan, expected: Answers, frozen: Run, inputs: Array, tolerance: float
) -> Verification:
    """Run the frozen graph on the same inputs in the same batches.

    Raises `VerificationError` where an output differs by more than `tolerance`, relative to its
    largest answer where that is above 1.
    """
    pairs = list(zip(expected.together, _in_pieces(frozen, inputs, expected.batch), strict=True))
    found = pairs[0][1]
    if expected.alone is not None:
        pairs += zip(expected.alone, _in_pieces(frozen, inputs, 1), strict=True)
    for number, (a, b) in enumerate(pairs):
        _check_equal(plan.outputs[number % len(plan.outputs)].name, a, b, tolerance)
    best = _wide(found).reshape(len(inputs), -1).argmax(axis=1)
    return Verification(
        samples=len(inputs),
        max_abs_difference=max(_difference(a, b) for a, b in pairs),
        max_relative_difference=max(_difference(a, b) / (_largest(a) or 1.0) for a, b in pairs),
        top1_agreement=float(np.mean(best == expected.rows.argmax(axis=1))),
    )


def _first_answers(plan: Plan, run: Run, inputs: Array) -> tuple[int | None, list[Array]]:
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
            return size, _in_pieces(run, inputs, size)
        except tf.errors.ResourceExhaustedError:
            raise
        except _FAILURES as error:
            failure = failure or error
    why = reason(failure) if failure else "no batch size works"
    raise FreezeError(f"The source cannot be run on sample images: {why}.") from failure


def _in_pieces(run: Run, inputs: Array, size: int | None) -> list[Array]:
    """Return the outputs for all inputs, run in pieces of `size`, the last padded with zeros."""
    size = size or len(inputs)
    pieces = []
    for start in range(0, len(inputs), size):
        piece = inputs[start : start + size]
        padding = [(0, size - len(piece))] + [(0, 0)] * (inputs.ndim - 1)
        first, *others = run(np.pad(piece, padding))
        answers = [_rows(first, size), *(_rows_if_any(other, size) for other in others)]
        pieces.append([answer[: len(piece)] for answer in answers])
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def _rows(answer: Array, count: int) -> Array:
    """Return the answer as (images, ...); a graph for one image may drop that dimension."""
    if answer.ndim > 0 and len(answer) == count:
        return answer
    if count == 1:
        return answer.reshape(1, -1)
    raise ValueError(
        f"the first output has the shape {answer.shape}, which is not one row for each of {count} "
        "images"
    )


def _rows_if_any(answer: Array, count: int) -> Array:
    """Return the answer as (images, ...), or as one row where it is not about single images."""
    return answer if answer.ndim > 0 and len(answer) == count else answer[np.newaxis]


def _check_numbers(plan: Plan, answers: list[Array]) -> None:
    for tensor, answer in zip(plan.outputs, answers, strict=True):
        if not _is_text(answer) and np.isnan(_wide(answer)).any():
            raise VerificationError(
                f"The source itself answers {tensor.name} with NaN (not a number) for sample "
                "images: its training may have diverged, or the preprocessing is not its own."
            )


def _check_equal(name: str, expected: Array, found: Array, tolerance: float) -> None:
    if expected.shape != found.shape:
        raise VerificationError(
            f"The frozen graph answers {name} with the shape {found.shape}, the source with "
            f"{expected.shape}. Nothing was published."
        )
    if not _apart(expected, found) <= tolerance:
        raise VerificationError(
            f"The frozen graph's {name} differs from its source's by up to "
            f"{_difference(expected, found):.3g}; {tolerance:g} is allowed. Nothing was published."
        )


def _is_text(answer: Array) -> bool:
    return answer.dtype.kind in "OSU"


def _wide(answer: Array) -> npt.NDArray[np.float64]:
    return np.asarray(answer).astype(np.float64)


def _difference(a: Array, b: Array) -> float:
    """Return the largest absolute difference; infinity where a number faces none."""
    if _is_text(a) or _is_text(b):
        return 0.0 if np.array_equal(a, b) else np.inf
    wide_a, wide_b = _wide(a), _wide(b)
    with np.errstate(invalid="ignore"):
        apart = np.where(wide_a == wide_b, 0.0, np.abs(wide_a - wide_b))
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))


def _apart(a: Array, b: Array) -> float:
    """Return the difference as the tolerance counts it."""
    return _difference(a, b) / max(1.0, _largest(a))


def _largest(a: Array) -> float:
    if _is_text(a):
        return 0.0
    wide = np.abs(_wide(a))
    return float(wide[np.isfinite(wide)].max(initial=0.0))


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
