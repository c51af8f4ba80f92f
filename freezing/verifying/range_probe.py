"""Which range of pixels a source answers to, asked with pictures that were made up for it."""

import math

import numpy as np
import tensorflow as tf

from freezing.choosing.plan import Plan
from freezing.choosing.preprocessing.spread import AnsweredRange, answered_range, photographs
from freezing.verifying.answers import Array, Run, in_pieces
from worker.models.preprocessing import Preprocessing

_MOST_PIXELS = 2**20  # of a picture: larger inputs are not asked


def answered(run: Run, plan: Plan, prepared: Preprocessing, op: str) -> AnsweredRange | None:
    """Return the range that the source answers to; None where that does not show.

    `run` answers batches of inputs, `prepared` says how they are laid out, and `op` is what
    computes the scores.
    """
    if math.prod(prepared.size) > _MOST_PIXELS:
        return None
    dtype = tf.as_dtype(plan.input.dtype).as_numpy_dtype
    batch = plan.input.shape[0] if plan.input.shape else None

    def scores(pictures: Array) -> Array:
        if prepared.layout == "NCHW":
            pictures = pictures.transpose(0, 3, 1, 2)
        rows = pictures.reshape(len(pictures), *prepared.shape).astype(dtype)
        answers = in_pieces(run, rows, batch)[0]
        return answers.reshape(len(rows), -1).astype(np.float64)

    pictures = photographs(*prepared.size, prepared.channels)
    try:
        return answered_range(scores, pictures, op)
    except (tf.errors.OpError, ValueError, TypeError):
        return None  # whether it can be run at all is found out by its samples
