"""What examples of known classes say for one way of preparing images and against others.

A candidate gives each example's own class a probability p. How far a network can be believed is
not known beforehand: its answers are taken as right with the share 1 - e and as mere guesses among
all K classes else, so that an example has the likelihood (1 - e) p + e / K. The evidence for a
candidate is the mean over all e from 0 to 1 of the product over the examples. So a network that is
sure of itself and wrong now and then is not put behind one that is never sure, and no single
mislabelled example decides. `e` = 1 is guessing: a candidate with less evidence than that answers
no better than one who does not look at the picture.

Nor is it known how sure of itself a network may be: pixels 255 times too large make many answer as
they would, and perfectly sure of it. So the evidence is also averaged over temperatures T, by which
the logarithms of the probabilities are divided; they are the less likely the farther from 1, with a
standard deviation of two octaves. That one network is surer than another costs what the temperature
does, once, and not again with each example.

The ratio of the evidence of two candidates is their Bayes factor. 20 to 1 is strong evidence
(Kass and Raftery, "Bayes Factors", 1995); it is asked of the winner against all others together,
since with a dozen candidates one may win by chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STRONG = 20.0  # to 1: from here on evidence counts as clear
_SURE, _SURE_SPREAD, _LEAST_SURE = 6.0, 1.3, 0.05  # middle, deviation of its logarithm, least
_OCTAVES = np.arange(-8, 9)  # of the temperature
_TEMPERATURE_WEIGHTS = np.exp(-((_OCTAVES / 2) ** 2) / 2)
_DOUBTS = (np.arange(200) + 0.5) / 200  # shares of guesses that are averaged over
_LEAST_SHARE = 1e-45  # the smallest number of a float32 above nought
_LEAST = 1e-12  # probability that a class has at least, for the logarithm that is told


@dataclass(frozen=True, kw_only=True)
class Score:
    """How a candidate does on the examples."""

    right: int
    log_likelihood: float  # mean over the examples, of the natural logarithm
    evidence: float  # logarithm


def score(scores: Floats, classes: npt.NDArray[np.int_]) -> Score:
    """Return how scores (examples, classes) do on examples of the classes (examples,).

    Scores are made to sum to 1; what is no number counts as nothing.
    """
    sound = np.clip(np.nan_to_num(scores.astype(np.float64), nan=0.0), 0.0, None)
    shares = _shares(sound)
    own = shares[np.arange(len(classes)), classes]
    # Where several share the first place, as in a row of equal scores, it is not right.
    others = shares.copy()
    others[np.arange(len(classes)), classes] = -1.0
    return Score(
        right=int((own > others.max(axis=1, initial=-1.0)).sum()),
        log_likelihood=float(np.log(np.maximum(own, _LEAST)).mean()),
        evidence=evidence(shares, classes),
    )


def evidence(shares: Floats, classes: npt.NDArray[np.int_]) -> float:
    """Return the logarithm of the evidence for shares (examples, classes) that sum to 1."""
    logs = np.log(np.maximum(shares, _LEAST_SHARE))
    found = np.array([_of_temperature(logs / 2.0**octave, classes) for octave in _OCTAVES])
    highest = float(found.max())
    return highest + float(
        np.log(np.average(np.exp(found - highest), weights=_TEMPERATURE_WEIGHTS))
    )


def _of_temperature(logs: Floats, classes: npt.NDArray[np.int_]) -> float:
    own = _shares(np.exp(logs - logs.max(axis=1, keepdims=True)))[np.arange(len(classes)), classes]
    found = np.log((1 - _DOUBTS[:, None]) * own + _DOUBTS[:, None] / logs.shape[1]).sum(axis=1)
    highest = float(found.max())
    return highest + float(np.log(np.exp(found - highest).mean()))


def _shares(scores: Floats) -> Floats:
    """Return scores that sum to 1 for each example; all alike where there are none."""
    sums = scores.sum(axis=1, keepdims=True)
    alike = np.full_like(scores, 1 / scores.shape[1])
    found: Floats = np.divide(scores, sums, out=alike, where=(sums > 0) & np.isfinite(sums))
    return found


def plausibility(scores: Floats) -> float:
    """Return how many times less plausible it is that a network is so sure of what comes first.

    What counts is the logarithm of the ratio of the first to the second score, of the examples the
    middle one. Networks have about 6, rarely under 1 or over 40; pixels of the wrong size have them
    prefer nothing, or make all other scores nought. Between 0 and 1; it does not grow with the
    number of examples, and no more than breaks a tie.
    """
    ordered = np.sort(_shares(np.clip(np.nan_to_num(scores, nan=0.0), 0.0, None)), axis=1)
    first, second = (np.log(np.maximum(ordered[:, place], _LEAST_SHARE)) for place in (-1, -2))
    far = np.log(max(float(np.median(first - second)), _LEAST_SURE) / _SURE) / _SURE_SPREAD
    return float(np.exp(-(far**2) / 2))


def likeliest(scores: Sequence[Score], prior: Sequence[float]) -> int:
    """Return which candidate there is most to say for, all in all.

    `prior` holds for each how many times likelier it is than one of which nothing is known.
    """
    return int(np.argmax([one.evidence + np.log(w) for one, w in zip(scores, prior, strict=True)]))


def is_clear(scores: Sequence[Score], taken: int, rivals: Mapping[int, int]) -> bool:
    """Whether the examples speak for a candidate and against all its rivals together.

    `rivals` are the places of others, each with a number that those share which no network tells
    apart; of these the best counts. What else is known does not help here.
    """
    best: dict[int, float] = {}
    for place, kind in rivals.items():
        best[kind] = max(best.get(kind, -np.inf), scores[place].evidence - scores[taken].evidence)
    return bool(np.exp(np.minimum([*best.values()], 50.0)).sum() <= 1 / STRONG)


def is_nearly_as_good(one: Score, best: Score) -> bool:
    """Whether the evidence for `best` against it is not strong."""
    return bool(best.evidence - one.evidence < np.log(STRONG))


def of_guessing(examples: int, count: int) -> float:
    """Return the logarithm of the evidence for guessing among so many classes."""
    return -examples * float(np.log(count))
