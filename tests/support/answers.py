"""What the tiny model must answer, worked out without the system: by a formula."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.pictures import jpeg

SIDE = 96  # pixels; small, so that submitting is quick
_CLOSE = 1e-6  # between scores: how many images run at once decides the last bit
_DAMAGED = 50  # one picture in so many is cut off before its end


@dataclass(frozen=True)
class Answer:
    """How a picture must end: with scores by label, or with the code of an error."""

    scores: Mapping[str, float] | None
    error: str | None = None

    def differs(self, result: Any, error: Any) -> str | None:
        """Return what is wrong with an outcome, or None.

        `result` is of a prediction, the predictions of a batch's row, or pairs of label and score.
        """
        if self.scores is None:
            code = error["code"] if error else None
            return None if code == self.error and not result else f"{code} is not {self.error}"
        if error or not result:
            return f"no result, but {error}"
        rows = result["predictions"] if isinstance(result, dict) else result
        scores = dict(tuple(row.values()) if isinstance(row, dict) else row for row in rows)
        same = scores.keys() == self.scores.keys() and all(
            math.isclose(scores[label], score, abs_tol=_CLOSE)
            for label, score in self.scores.items()
        )
        return None if same else f"{scores} is not {dict(self.scores)}"


def answer_for(number: int) -> Answer:
    """Return how `picture(number)` must end: with `softmax(8 * (0.5 - light, light - 0.5))`."""
    if _is_damaged(number):
        return Answer(None, "truncated")
    light = (number % 256) / 255
    bright = 1 / (1 + math.exp(-16 * (light - 0.5)))
    return Answer({"dark": 1 - bright, "bright": bright})


def picture(number: int, *, side: int = SIDE) -> bytes:
    """Return the picture of a number: no two have the same bytes."""
    content = jpeg(number % 256, side=side, mark=number)
    return content[:-20] if _is_damaged(number) else content


def _is_damaged(number: int) -> bool:
    return number % _DAMAGED == _DAMAGED - 1
