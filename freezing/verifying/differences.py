"""How far two answers are apart."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def difference(a: Array, b: Array) -> float:
    """Return the largest absolute difference; infinity where a number faces none."""
    if is_text(a) or is_text(b):
        return 0.0 if np.array_equal(a, b) else np.inf
    wide_a, wide_b = wide(a), wide(b)
    with np.errstate(invalid="ignore"):
        apart = np.where(wide_a == wide_b, 0.0, np.abs(wide_a - wide_b))
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))


def relative_difference(a: Array, b: Array) -> float:
    """Return the difference in relation to the largest of `a`."""
    return difference(a, b) / (largest(a) or 1.0)


def tolerated_difference(a: Array, b: Array) -> float:
    """Return the difference as the tolerance counts it: in relation to the largest above 1."""
    return difference(a, b) / max(1.0, largest(a))


def same_best(a: Array, b: Array) -> float | None:
    """Return the share of rows whose largest number is in the same place; None for text."""
    if is_text(a) or is_text(b) or not a.size:
        return None
    rows_a, rows_b = (wide(array).reshape(len(array), -1) for array in (a, b))
    return float(np.mean(rows_a.argmax(axis=1) == rows_b.argmax(axis=1)))


def largest(a: Array) -> float:
    """Return the largest finite absolute value; 0 for text."""
    if is_text(a):
        return 0.0
    absolute = np.abs(wide(a))
    return float(absolute[np.isfinite(absolute)].max(initial=0.0))


def is_text(a: Array) -> bool:
    """Whether it holds no numbers."""
    return a.dtype.kind in "OSU"


def wide(a: Array) -> npt.NDArray[np.float64]:
    """Return it in the widest type."""
    return np.asarray(a).astype(np.float64)
