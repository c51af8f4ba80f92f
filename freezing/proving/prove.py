"""Trying ways of preparing images on examples, and deciding for one of them.

First values and colours, resized as was taken for granted; then the ways of resizing for the values
and colours that are taken. Each is one pass over the network.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from freezing.proving.class_order import find_orders
from freezing.proving.classes import classes_of
from freezing.proving.evidence import (
    STRONG,
    Score,
    is_clear,
    is_nearly_as_good,
    likeliest,
    of_guessing,
    plausibility,
    score,
)
from freezing.proving.grid import PreprocessingCandidate, geometries, kinds, scalings
from freezing.proving.refusals import do_not_fit, in_other_order
from freezing.proving.tensors import Pictures, Pixels, inputs_of
from worker.errors import ExamplesError
from worker.images.decode import Limits
from worker.images.examples import MOST_EXAMPLES, Example, spread
from worker.models.preprocessing import Preprocessing

Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int_]
Scores = Callable[[npt.NDArray[Any]], Floats]  # inputs (images, ...) -> scores (images, classes)
Prior = Callable[[PreprocessingCandidate], float]

_MOST_BYTES = 256 << 20  # of the inputs that are made of them
_ENOUGH_S = 45.0  # after which no further way of resizing is tried
_ALIKE = 0.02  # mean share of a score that goes elsewhere, below which answers are the same


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A candidate and what the model makes of the examples with it."""

    candidate: PreprocessingCandidate
    scores: Floats
    score: Score


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Which values and colours are taken, and how clear each is."""

    taken: int
    scaling_is_clear: bool
    color_is_clear: bool
    tied: list[int]  # others for which there is nearly as much to say, likeliest first
    fits: bool  # whether the examples speak for it, and not for guessing

    @property
    def is_clear(self) -> bool:
        """Whether both are."""
        return self.scaling_is_clear and self.color_is_clear


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the examples decided."""

    taken: Trial
    values: list[Trial]  # with other values and colours, the first one as it was assumed
    verdict: Verdict  # on these
    resizings: list[Trial]  # the same values and colours, resized otherwise
    resizing_is_shown: bool  # whether the examples speak for another way than was assumed
    labels: list[str] | None  # made up of the examples', where the model has none
    classes: Classes

    @property
    def tied(self) -> list[Trial]:
        """Other values and colours that may be meant as well, likeliest first."""
        return [self.values[place] for place in self.verdict.tied]

    @property
    def resized_alike(self) -> list[Trial]:
        """Other ways of resizing, with which the answers are the same."""
        taken = self.taken
        ways = [way for way in self.resizings if way is not taken]
        return [way for way in ways if answer_alike(way.scores, taken.scores)]


class Prover:
    """Tries candidates on the examples of a freeze."""

    def __init__(
        self,
        examples: Sequence[Example],
        base: Preprocessing,
        dtype: npt.DTypeLike,
        limits: Limits,
    ) -> None:
        """Read the examples, as many as will be tried. Raises `ExamplesError`."""
        self._base = base
        self._dtype = np.dtype(dtype)
        size = int(np.prod(base.shape)) * max(4, self._dtype.itemsize)
        tried = spread(examples, max(1, min(MOST_EXAMPLES, _MOST_BYTES // size)))
        self.left_out = len(examples) - len(tried)
        self.pictures = Pictures(tried, limits)
        if not self.pictures.examples:
            raise ExamplesError(
                f"None of the {len(tried)} examples can be read. {self.pictures.unreadable[0]}"
            )
        self._resized: dict[str, Pixels] = {}

    def inputs(self, preprocessing: Preprocessing) -> npt.NDArray[Any]:
        """Return the examples, prepared in this way."""
        way = f"{preprocessing.resize} {preprocessing.filter}"
        if way not in self._resized:  # kept of the way that all begin with, and of the last one
            kept = dict(list(self._resized.items())[:1])
            self._resized = {**kept, way: self.pictures.resized(preprocessing)}
        return inputs_of(self._resized[way], preprocessing, self._dtype)

    def decide(
        self,
        answer: Scores,
        *,
        labels: Sequence[str] | None,
        held: Set[str],
        prior: Prior,
        log: Callable[[str], None] = lambda _: None,
    ) -> Decision:
        """Return what the examples say.

        `answer` runs the model, `held` are the fields of the preprocessing that a person stated,
        and `prior` says how many times likelier a candidate is than one that nothing speaks for.
        Raises `ExamplesDoNotFitError`, `OtherOrderError` and `ExampleLabelError`.
        """
        began = monotonic()
        candidates = scalings(self._base, held, self._dtype)
        answers = [answer(self.inputs(one.preprocessing)) for one in candidates]
        names = [example.label for example in self.pictures.examples]
        classes, made_up = classes_of(names, labels, answers[0].shape[1])
        values, verdict = _judged(candidates, answers, classes, prior)
        others = find_orders([trial.scores for trial in values], classes)
        if others and others[0].beats(values[verdict.taken].score):
            if made_up is None or len(others) > 1:
                raise in_other_order(labels or made_up, others, values, len(classes))
            made_up, classes = others[0].applied(made_up, classes)
            values, verdict = _judged(candidates, answers, classes, prior)
        best = values[verdict.taken]
        if not verdict.fits:
            raise do_not_fit(
                best.candidate, best.score, values[0].score, len(classes), is_held=bool(held)
            )
        log(
            f"{best.candidate.called}: {best.score.right} of {len(classes)} examples are right, "
            f"with {len(values)} ways to scale and colour them tried."
        )
        resizings = self._resizings(answer, best, held, classes, began + _ENOUGH_S, log)
        way = max([best, *resizings], key=lambda trial: trial.score.evidence)
        shown = way.score.evidence - best.score.evidence >= np.log(STRONG)
        return Decision(
            taken=way if shown else best,
            values=values,
            verdict=verdict,
            resizings=resizings,
            resizing_is_shown=bool(shown),
            labels=made_up,
            classes=classes,
        )

    def _resizings(
        self,
        answer: Scores,
        best: Trial,
        held: Set[str],
        classes: Classes,
        until: float,
        log: Callable[[str], None],
    ) -> list[Trial]:
        """Try the other ways of resizing that make something else of the examples."""
        known = [self.inputs(best.candidate.preprocessing)]
        found: list[Trial] = []
        for way in geometries(best.candidate, held)[1:]:
            if monotonic() > until:
                log("Further ways of resizing were left out, because the model is slow.")
                break
            inputs = self.inputs(way.preprocessing)
            if any(np.array_equal(inputs, other) for other in known):
                continue
            if len(known) == 1:  # enough to find examples that have the network's size already
                known.append(inputs)
            scores = answer(inputs)
            found.append(Trial(candidate=way, scores=scores, score=score(scores, classes)))
        return found


def _judged(
    candidates: Sequence[PreprocessingCandidate],
    answers: Sequence[Floats],
    classes: Classes,
    prior: Prior,
) -> tuple[list[Trial], Verdict]:
    trials = [
        Trial(candidate=candidate, scores=scores, score=score(scores, classes))
        for candidate, scores in zip(candidates, answers, strict=True)
    ]
    weights = [prior(trial.candidate) * plausibility(trial.scores) for trial in trials]
    return trials, _verdict(trials, weights, classes)


def _verdict(trials: Sequence[Trial], prior: Sequence[float], classes: Classes) -> Verdict:
    """Return what is taken; with examples of a single class nothing is clear.

    A network may answer that one class to everything.
    """
    scores = [trial.score for trial in trials]
    candidates = [trial.candidate for trial in trials]
    guessed = of_guessing(len(classes), trials[0].scores.shape[1])
    # What does no better than guessing is not taken where something does, however common it is.
    better = [place for place, one in enumerate(scores) if one.evidence > guessed]
    possibly = better or range(len(scores))
    first = likeliest([scores[place] for place in possibly], [prior[place] for place in possibly])
    taken = possibly[first]
    own, alike = candidates[taken], kinds(candidates)
    over_guessing = scores[taken].evidence - guessed
    possible = len(set(classes.tolist())) > 1 and over_guessing >= np.log(STRONG)
    scaled = {
        place: alike[place] for place, one in enumerate(candidates) if not one.is_scaled_alike(own)
    }
    coloured = {
        place: alike[place]
        for place, one in enumerate(candidates)
        if one.preprocessing.color != own.preprocessing.color
    }
    best = max(scores, key=lambda one: one.evidence)
    order = sorted(
        scaled.keys() | coloured.keys(),
        key=lambda place: -(scores[place].evidence + float(np.log(prior[place]))),
    )
    tied: dict[int, int] = {}  # of each kind the likeliest
    for place in order:
        if is_nearly_as_good(scores[place], best):
            tied.setdefault(alike[place], place)
    verdict = Verdict(
        taken=taken,
        scaling_is_clear=possible and is_clear(scores, taken, scaled),
        color_is_clear=possible and is_clear(scores, taken, coloured),
        tied=[*tied.values()],
        fits=over_guessing > 0,
    )
    return replace(verdict, tied=[]) if verdict.is_clear else verdict


def answer_alike(first: Floats, second: Floats) -> bool:
    """Whether two scores (images, classes) would be taken for the same answers."""
    moved = np.abs(first - second).sum(axis=1) / 2
    return bool(moved.mean() <= _ALIKE)
