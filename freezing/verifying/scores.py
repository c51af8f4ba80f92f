"""What the first output holds: probabilities, or numbers that serving must still squash."""

import numpy as np
import numpy.typing as npt

from worker.errors import FreezeError
from worker.models.manifest import Scores


class LabelCountError(FreezeError):
    """There are more or fewer labels than scores."""

    code = "label_count"


def resolve_scores(
    asked: Scores | None, op: str, rows: npt.NDArray[np.float64], warnings: list[str]
) -> Scores:
    """Return what serving must do with the first output.

    `op` is its final op and `rows` (images, columns) are answers for samples. What is asked for is
    taken, unless the graph squashes already.
    """
    if op in ("Softmax", "Sigmoid"):
        if asked in ("logits", "sigmoid"):
            warnings.append(
                f"scores '{asked}' was asked for, but the output comes from a {op} and holds "
                "probabilities already."
            )
        return "probabilities"
    if asked is not None:
        return asked
    sums = rows.sum(axis=1)
    if rows.shape[1] > 1 and (rows >= 0).all() and np.allclose(sums, 1.0, atol=1e-3):
        warnings.append(
            "The first output's numbers sum to 1; they are taken as probabilities. If they are "
            "not, say what they are with `scores` (--scores logits)."
        )
        return "probabilities"
    if rows.shape[1] == 1:
        warnings.append(
            "The first output holds one number per image; it is taken as a logit and put through "
            "the logistic function. If it is a probability, say so with `scores` (--scores "
            "probabilities)."
        )
        return "sigmoid"
    warnings.append(
        "The first output is taken as logits and put through softmax. If it holds something else, "
        "say what with `scores` (--scores probabilities, --scores sigmoid)."
    )
    return "logits"


def check_labels(labels: list[str] | None, columns: int, name: str) -> None:
    """Raise `FreezeError` where the number of labels is not the number of columns.

    One column goes with two labels: it is the score of the second.
    """
    if labels is None or len(labels) == columns or (columns == 1 and len(labels) == 2):
        return
    raise LabelCountError(
        f"{len(labels)} labels were given, but the output {name} has {columns} scores per image."
    )
