"""Whether a model's classes are in another order than its labels, as examples show it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from freezing.proving.evidence import Score, is_nearly_as_good, score

Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int_]

_MOST_CLASSES = 1000  # of which another order is looked for


@dataclass(frozen=True, kw_only=True)
class OtherOrder:
    """An order of labels that fits better."""

    order: list[int]  # for each column of the scores, the label that it is of
    candidate: int  # with which it was found
    score: Score

    def beats(self, present: Score) -> bool:
        """Whether there is much more to say for it than for the order as it is."""
        return not is_nearly_as_good(present, self.score)

    def labels(self, labels: Sequence[str]) -> list[str]:
        """Return the labels in this order."""
        return [labels[label] for label in self.order]

    def applied(self, labels: Sequence[str], classes: Classes) -> tuple[list[str], Classes]:
        """Return labels and examples' classes as they are with this order."""
        return self.labels(labels), _columns(self.order, classes)


def find_orders(answers: Sequence[Floats], classes: Classes) -> list[OtherOrder]:
    """Return the orders for which there is most to say.

    `answers` are scores (examples, classes), one array for each candidate.
    Each differs from the others, the best comes first, and none has a twentieth of its evidence or
    less. Empty where no other order shows: each class needs at least two examples most of which
    agree, and no two classes the same column.
    """
    found: dict[tuple[int, ...], OtherOrder] = {}
    for place, scores in enumerate(answers):
        order = _order(scores, classes)
        if order is None:
            continue
        made = score(scores, _columns(order, classes))
        known = found.get(tuple(order))
        if known is None or made.evidence > known.score.evidence:
            found[tuple(order)] = OtherOrder(order=order, candidate=place, score=made)
    ranked = sorted(found.values(), key=lambda one: -one.score.evidence)
    return [one for one in ranked if is_nearly_as_good(one.score, ranked[0].score)]


def _columns(order: Sequence[int], classes: Classes) -> Classes:
    column_of = np.argsort(np.asarray(order))
    return np.asarray(column_of[classes], np.int_)


def _order(scores: Floats, classes: Classes) -> list[int] | None:
    """Return the label of each column; None where it is the order as it is, or does not show.

    Classes without examples keep their columns where these are free, else take what is left.
    """
    count = scores.shape[1]
    if count > _MOST_CLASSES:
        return None
    first = scores.argmax(axis=1)
    label_of: dict[int, int] = {}
    for label in sorted(set(classes.tolist())):
        columns, votes = np.unique(first[classes == label], return_counts=True)
        column = int(columns[votes.argmax()])
        if votes.sum() < 2 or votes.max() * 2 <= votes.sum() or column in label_of:
            return None
        label_of[column] = label
    if len(label_of) < 2 or all(label == column for column, label in label_of.items()):
        return None
    left = [label for label in range(count) if label not in label_of.values()]
    free = [column for column in range(count) if column not in label_of]
    for column in [column for column in free if column in left]:
        label_of[column] = column
        left.remove(column)
    for column in free:
        if column not in label_of:
            label_of[column] = left.pop(0)
    return [label_of[column] for column in range(count)]
