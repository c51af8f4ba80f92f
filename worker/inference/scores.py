"""Turning a network's output into ranked predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.models.manifest import Scores

Floats = npt.NDArray[np.float32]


def to_scores(rows: Floats, kind: Scores) -> Floats:
    """Return scores of the shape `rows` has, (images, classes).

    `logits` go through softmax, `sigmoid` through the logistic function, each in a form that does
    not overflow; `probabilities` stay as they are.
    """
    if kind == "logits":
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
    if kind == "sigmoid":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * rows)), np.float32)
    return rows


def rank(scores: Floats, labels: Sequence[str] | None, top: int) -> list[dict[str, Any]]:
    """Return the `top` best of one image's scores (classes,) as label and score, best first.

    One score with two labels is the probability of the second label. Without labels, a class is
    called by its number.
    """
    if scores.shape[0] == 1 and labels is not None and len(labels) == 2:
        scores = np.array([1.0 - scores[0], scores[0]], np.float32)
    order = np.argsort(-scores, kind="stable")[:top]
    return [
        {
            "label": labels[index] if labels is not None and index < len(labels) else str(index),
            # The shortest decimal that is this float32, not the long one of its float64.
            "score": float(str(scores[index])),
        }
        for index in order.tolist()
    ]
