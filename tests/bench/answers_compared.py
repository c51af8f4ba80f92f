"""Whether a peer says of the same photographs what Permafrost says: a wrong answer is no answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

TOLERANCE = 1e-3  # of a score
# Permafrost may decode a large JPEG smaller than it is; scores then differ by more.
LARGE_PIXELS = 1_000_000
LARGE_TOLERANCE = 0.05

Predictions = Sequence[Mapping[str, Any]]


def tolerance(path: Path) -> float:
    """Return by how much scores for a photograph may differ."""
    with Image.open(path) as image:
        large = image.width * image.height >= LARGE_PIXELS
    return LARGE_TOLERANCE if large else TOLERANCE


def right_labels(predictions: Predictions, within: float) -> list[str]:
    """Return the labels that may stand first: of the best score and those too close to tell."""
    best = predictions[0]["score"]
    return [one["label"] for one in predictions if best - one["score"] <= within]


def difference(ours: Predictions, theirs: Predictions) -> float:
    """Return the largest difference of scores; infinite where the best one is another's.

    Labels that only one of both names have at most the least score that the other one names.
    """
    first = {one["label"]: float(one["score"]) for one in ours}
    second = {one["label"]: float(one["score"]) for one in theirs}
    if not first or not second:
        return float("inf")
    return max(
        abs(first.get(label, min(first.values())) - second.get(label, min(second.values())))
        for label in {*first, *second}
    )


def disagreement(ours: Predictions, theirs: Predictions, within: float) -> str | None:
    """Return what is different in two answers, or None."""
    apart = difference(ours, theirs)
    if apart > within:
        return f"scores differ by {apart:.2g}, more than {within:g}"
    if theirs[0]["label"] not in right_labels(ours, within):
        return f"{theirs[0]['label']} instead of {ours[0]['label']}"
    return None
