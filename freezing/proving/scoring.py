"""Running a model on prepared examples, and reading its scores as serving reads them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from freezing.choosing.plan import Plan
from freezing.graph.content import Trace
from freezing.running.limited_runs import limited
from freezing.verifying.answers import Run, in_pieces
from freezing.verifying.score_kind import resolve_scores
from freezing.verifying.verify import first_answers
from worker.errors import ExamplesError
from worker.inference.scores import to_scores
from worker.models.manifest import Scores

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_LOOKED_AT = 4  # pictures that are run alone as well as together, to see if that matters
_AT_ONCE = 16  # pictures of one run, where their number is free


class Scoring:
    """Gives the scores of a source's first output, (images, classes), for prepared images."""

    def __init__(
        self, run: Run, plan: Plan, asked: Scores | None, answer: Trace, batch: int | None = None
    ) -> None:
        """`run` runs the source, `answer` tells what its first output is made of.

        `batch` is how many images it is to be run with; None where that is to be found out.
        """
        self._run = run
        self._plan = plan
        self._asked = asked
        self._answer = answer
        self._batch = batch
        self._kind: Scores | None = None

    @property
    def kind(self) -> Scores:
        """What the output holds. Known once it has been asked."""
        if self._kind is None:
            raise RuntimeError("nothing was asked yet")
        return self._kind

    @property
    def at_once(self) -> int:
        """How many images are run at once."""
        return self._batch or _AT_ONCE

    def __call__(self, inputs: Array) -> Floats:
        """Return the scores; two for an output of one column. Raises `ExamplesError`."""
        with limited("running the source on the examples"):
            return self._scores(inputs)

    def _scores(self, inputs: Array) -> Floats:
        if self._kind is None and self._batch is None:
            self._batch, _ = first_answers(self._plan, self._run, inputs[:1])
            if self._batch is None and self._is_mixing(inputs[:_LOOKED_AT]):
                self._batch = 1
        answer = in_pieces(self._run, inputs, self.at_once)[0]
        if answer.size == 0 or answer.size != len(inputs) * max(answer.shape[1:], default=1):
            raise ExamplesError(
                f"The first output {self._plan.outputs[0].name} has the shape "
                f"{list(answer.shape[1:])} per image, which is not one row of scores: name the "
                "node that gives the classes (--output), or leave the examples out."
            )
        rows = np.asarray(answer, np.float64).reshape(len(inputs), -1)
        if self._kind is None:
            self._kind = resolve_scores(self._asked, self._answer, rows, [], loss=self._plan.loss)
        return scores_of(rows, self._kind)

    def _is_mixing(self, inputs: Array) -> bool:
        """Whether answers change with the images beside them, as in training mode."""
        together = in_pieces(self._run, inputs, len(inputs))[0]
        alone = in_pieces(self._run, inputs, 1)[0]
        same = together.shape == alone.shape
        return not (same and np.allclose(together, alone, rtol=1e-3, atol=1e-3, equal_nan=True))


def scores_of(rows: Array, kind: Scores) -> Floats:
    """Return a first output's rows as scores (images, classes), two for a single column."""
    with np.errstate(all="ignore"):  # what a stranger's model answers to what it was not made for
        found = to_scores(rows.astype(np.float32), kind).astype(np.float64)
    return np.hstack([1 - found, found]) if found.shape[1] == 1 else found
