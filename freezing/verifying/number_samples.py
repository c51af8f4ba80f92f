"""Samples for models that take no images: random numbers of the input's shape and type."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from freezing.choosing.plan import Plan
from freezing.converting.variables import variables_needed
from freezing.verifying.samples import COUNT

_SEED = 20_240_229
_SIDE = 8  # of a side that the graph leaves open, as the length of a text may be
_MOST_SIDES = 8  # tried for one
# Integers are often places in a table; small tables have few.
_LARGEST = (9, 1)


def sample_numbers(plan: Plan) -> Iterator[npt.NDArray[np.generic]]:
    """Give samples (samples, ...) to try in turn until the source can be run on one.

    Floating point numbers lie between 0 and 1, integers between 0 and 9, then 0 and 1. A side that
    the graph leaves open may still be the only one that its weights fit, so each is tried.
    """
    dtype = tf.as_dtype(plan.input.dtype)
    for shape in _shapes(plan):
        for largest in _LARGEST if dtype.is_integer else (1,):
            values = np.random.default_rng(_SEED).random((COUNT, *shape))
            if dtype.is_integer or dtype.is_bool:
                values = np.floor(values * (largest + 1))
            yield values.astype(dtype.as_numpy_dtype)


def _shapes(plan: Plan) -> Iterator[Sequence[int]]:
    """Give shapes of one sample to try."""
    shape = plan.input.shape
    if shape is None:
        yield ()
        yield from ((side,) for side in _sides(plan))
        return
    inner = shape[1:]
    if None not in inner:
        yield [side for side in inner if side is not None]
        return
    for side in _sides(plan):
        yield [side if found is None else found for found in inner]


def _sides(plan: Plan) -> list[int]:
    """Return lengths to try for a side: a usual one, and those of the weights."""
    found = [_SIDE]
    for node in variables_needed(plan.graph):
        found += [side.size for side in node.attr["shape"].shape.dim[:1]]
    for node in plan.graph:
        if node.op == "Const":
            found += [side.size for side in node.attr["value"].tensor.tensor_shape.dim[:1]]
    return [*list(dict.fromkeys(side for side in found if side > 0))[:_MOST_SIDES], 1]
