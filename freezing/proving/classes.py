"""Which of a model's classes an example's label means."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from worker.errors import FreezeError
from worker.printable import printable

_MOST_NAMED = 10  # labels in a sentence


class ExampleLabelError(FreezeError):
    """An example has a label that is none of the model's."""

    code = "example_label"


def classes_of(
    names: Sequence[str], labels: Sequence[str] | None, count: int
) -> tuple[npt.NDArray[np.int_], list[str] | None]:
    """Return the class of each example by its label, and the labels that were made up for it.

    `labels` are the model's, one for each of its `count` classes, or None where it has none. Then
    numbers are classes; and as many different names as there are classes are its labels in the
    order of the alphabet, in which nearly all that reads folders numbers them. Raises
    `ExampleLabelError`.
    """
    used = sorted(set(names))
    made_up = None
    if labels is None and not all(_is_number(name, count) for name in used):
        if len(used) != count:
            raise ExampleLabelError(
                f"The model has {count} classes and no labels, and the examples have "
                f"{len(used)} labels ({_listed(used)}): say with --labels which label each class "
                f"has, or call the examples by the numbers 0 to {count - 1}."
            )
        labels = made_up = used
    known = _by_name(labels or [])
    places = {name: _place(name, labels, known, count) for name in used}
    strange = [name for name, place in places.items() if place is None]
    if strange:
        raise ExampleLabelError(
            f"{_listed(strange)} {'is' if len(strange) == 1 else 'are'} not among the model's "
            f"{count} labels, which are {_listed(labels or [])}. Name the examples as the labels "
            "are, or give other labels with --labels."
        )
    found = [place for name in names if (place := places[name]) is not None]
    return np.array(found, np.int_), made_up


def _by_name(labels: Sequence[str]) -> dict[str, int | None]:
    """Return the class of each spelling; None for those that several classes share."""
    known: dict[str, int | None] = {}
    for place, label in enumerate(labels):
        plain = _plain(label)
        known[plain] = None if plain in known else place
    return known


def _place(
    name: str, labels: Sequence[str] | None, known: dict[str, int | None], count: int
) -> int | None:
    if labels and name in labels:
        return list(labels).index(name)
    place = known.get(_plain(name))
    if (
        place is None
        and _is_number(name, count)
        and not any(_is_number(x, 10**9) for x in labels or [])
    ):
        return int(name)
    return place


def _plain(label: str) -> str:
    """Return a label as folders, files and people spell it alike."""
    return re.sub(r"[\s_-]+", " ", label).strip().casefold()


def _is_number(name: str, count: int) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 10 and int(name) < count


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{printable(name)[:60]}'" for name in names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
