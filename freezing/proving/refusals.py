"""What is said where examples and model do not belong together."""

import shlex
from collections.abc import Sequence
from typing import Protocol

from freezing.proving.class_order import OtherOrder
from freezing.proving.evidence import Score
from freezing.proving.grid import PreprocessingCandidate
from worker.errors import FreezeError
from worker.printable import printable

_MOST_WRITTEN = 50  # labels that a command is written for
_MOST_ORDERS = 3
_WITHOUT = "Leave the examples out to publish the model as it is, with nothing proven."


class ExamplesDoNotFitError(FreezeError):
    """The model answers the examples no better than one that does not look at them."""

    code = "examples_do_not_fit"


class OtherOrderError(FreezeError):
    """The labels are in another order than the model's classes, as the examples show."""

    code = "labels_in_other_order"


class _Tried(Protocol):
    @property
    def candidate(self) -> PreprocessingCandidate: ...


def do_not_fit(
    best: PreprocessingCandidate, found: Score, assumed: Score, examples: int, *, is_held: bool
) -> FreezeError:
    """Return the error for examples that the model does not answer, however they are prepared.

    `is_held`: a person stated something of how they are.
    """
    held = "What was stated was held (--preprocessing), and may be wrong. " if is_held else ""
    return ExamplesDoNotFitError(
        "However the examples are prepared, the model answers them no better than by guessing: "
        f"{found.right} of {examples} are right at best ({best.called}, mean log-likelihood "
        f"{found.log_likelihood:.2f}), {assumed.right} as was assumed. {held}The labels may be in "
        "another order (two examples or more for each class would show it; --labels gives them), "
        "the output another one (--output), or the examples none of what the model was trained "
        f"for. Nothing was published. {_WITHOUT}"
    )


def in_other_order(
    labels: Sequence[str] | None,
    others: Sequence[OtherOrder],
    tried: Sequence[_Tried],
    examples: int,
) -> FreezeError:
    """Return the error for labels in another order, with what fits."""
    known = labels or [str(label) for label in range(len(others[0].order))]
    ways = [
        f"{_written(known, other)} ({other.score.right} of {examples} are right, prepared with "
        f"{tried[other.candidate].candidate.called})"
        for other in others[:_MOST_ORDERS]
    ]
    return OtherOrderError(
        "The labels are in another order than the model's classes, as the examples show. Write "
        f"them down in the order that fits, {', or '.join(ways)}, and give --labels labels.txt. "
        f"Nothing was published. {_WITHOUT}"
    )


def _written(labels: Sequence[str], other: OtherOrder) -> str:
    """Return the command that writes labels down, or of very many those that move."""
    ordered = other.labels(labels)
    if len(ordered) <= _MOST_WRITTEN:
        words = " ".join(shlex.quote(printable(label)) for label in ordered)
        return f"`printf '%s\\n' {words} > labels.txt`"
    moved = [
        f"line {place + 1} is {printable(label)}"
        for place, label in enumerate(ordered)
        if labels[place] != label
    ]
    return ", ".join(moved[:_MOST_WRITTEN])
