"""What the first output holds: probabilities, or numbers that serving must still squash."""

import numpy as np
import numpy.typing as npt

from freezing.graph.content import Content, Trace
from freezing.sources.source import Loss
from worker.errors import FreezeError
from worker.models.manifest import Scores

_NEAR = 1e-3  # of 16-bit floats
_SQUASHED: dict[Scores, str] = {
    "logits": "logits, which are put through softmax",
    "sigmoid": "logits of their own, each of which is put through the logistic function",
}
_OTHERWISE = "If not, say what it holds with `scores` (--scores probabilities, logits, sigmoid)."


class LabelCountError(FreezeError):
    """There are more or fewer labels than scores."""

    code = "label_count"


def resolve_scores(
    asked: Scores | None,
    answer: Trace,
    rows: npt.NDArray[np.float64],
    warnings: list[str],
    *,
    loss: Loss | None = None,
) -> Scores:
    """Return what serving must do with the first output.

    `answer` is what it is made of, `rows` (images, columns) are answers for samples, and `loss` is
    what the model was trained with. What is asked for is taken, unless the graph squashes already.
    """
    content = answer.content
    if content in (Content.SOFTMAX, Content.SIGMOID):
        if asked in ("logits", "sigmoid"):
            warnings.append(
                f"scores '{asked}' was asked for, but the output comes from a {content} and holds "
                "probabilities already."
            )
        warnings += filter(None, [_doubt(content, rows)])
        return "probabilities"
    if asked is not None:
        return asked
    if content is Content.LOG_SOFTMAX:
        return "logits"  # softmax of them gives the probabilities back
    if loss is not None and loss.of_classes:
        kind: Scores = "logits" if loss.of_one_class and rows.shape[1] > 1 else "sigmoid"
        warnings.append(
            f"The first output is taken as {_SQUASHED[kind]}, since the model was trained with "
            f"{loss.name} and does not do that itself. {_OTHERWISE}"
        )
        return kind
    if rows.shape[1] > 1 and _sum_to_one(rows):
        warnings.append(
            "It is assumed that the first output holds probabilities: its numbers sum to 1. "
            f"{_OTHERWISE}"
        )
        return "probabilities"
    kind = "sigmoid" if rows.shape[1] == 1 else "logits"
    warnings.append(
        f"It is assumed that the first output holds {_SQUASHED[kind]}: nothing in the graph "
        f"squashes its numbers, and nothing says otherwise. {_OTHERWISE}"
    )
    return kind


def _doubt(content: Content, rows: npt.NDArray[np.float64]) -> str | None:
    """Return what samples say against numbers that should be probabilities."""
    if rows.min(initial=0.0) < -_NEAR or rows.max(initial=0.0) > 1 + _NEAR:
        return (
            f"The first output is made of a {content}, but its numbers go from {rows.min():.3g} to "
            f"{rows.max():.3g}: they are answered as they are, rank the classes, and are no "
            "probabilities."
        )
    if content is Content.SOFTMAX and not _sum_to_one(rows):
        sums = rows.sum(axis=1)
        return (
            f"The first output is made of a softmax, but the scores of an image sum to between "
            f"{sums.min():.3g} and {sums.max():.3g}, not to 1: they are answered as they are, and "
            "rank the classes."
        )
    return None


def _sum_to_one(rows: npt.NDArray[np.float64]) -> bool:
    return bool((rows >= 0).all() and np.allclose(rows.sum(axis=1), 1.0, atol=_NEAR))


def check_labels(labels: list[str] | None, columns: int, name: str) -> None:
    """Raise `FreezeError` where the number of labels is not the number of columns.

    One column goes with two labels: it is the score of the second.
    """
    if labels is None or len(labels) == columns or (columns == 1 and len(labels) == 2):
        return
    raise LabelCountError(
        f"{len(labels)} labels were given, but the output {name} has {columns} scores per image."
    )
