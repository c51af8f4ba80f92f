"""What the examples of a freeze decided, as its result and its manifest say it."""

from typing import Final

import numpy as np

from freezing.proving.evidence import Score
from freezing.proving.grid import PreprocessingCandidate, candidate_of
from freezing.proving.prove import Decision, Prior, Prover, Trial
from worker.models.basis import (
    MOST_ALTERNATIVES,
    MOST_REASONS,
    Alternative,
    Aspect,
    Basis,
    BasisKind,
    least,
)
from worker.models.preprocessing import Preprocessing
from worker.models.proof import MOST_TRIED, Accuracy, Proof, Tried

# How common presets and orders of colours are among networks that people have, by estimate.
_COMMON: Final[dict[str, float]] = {
    "zero_one": 8.0,
    "minus_one_one": 4.0,
    "raw": 4.0,
    "caffe": 2.0,
    "imagenet": 2.0,
}
_RGB = 3.0  # times as common as BGR
# How many times likelier values or colours are, by what is known of them, than that.
_WEIGHTS: Final[dict[BasisKind, float]] = {
    "stated": 20.0,
    "proven": 20.0,
    "read": 20.0,
    "recognised": 10.0,
    "assumed": 2.0,
}
_ALTERNATIVES = (1.5, 1.2)  # and what is taken for the likeliest alternatives
_MOST_ODDS = 1e6
_MOST_UNREADABLE = 20
_ASPECTS: Final[tuple[Aspect, ...]] = ("scaling", "color")


def prior_of(base: Preprocessing, basis: Basis) -> Prior:
    """Return what says how much likelier a candidate is than one of which nothing is known.

    `basis` is what `base` rests on. Nothing is likelier than `base`: where that is rare, there was
    a reason to take it.
    """
    own = candidate_of(base)
    most = _COMMON.get(own.spec.preset or "", 1.0)
    rgb = 1.0 if base.color == "bgr" else _RGB
    others = [
        (candidate_of(base, one.preprocessing), weight)
        for one, weight in zip(basis.alternatives, _ALTERNATIVES, strict=False)
    ]
    scaled, coloured = (_WEIGHTS[basis.fields.get(aspect, "assumed")] for aspect in _ASPECTS)

    def prior(candidate: PreprocessingCandidate) -> float:
        weights = [weight for other, weight in others if candidate.is_alike(other)]
        same_color = candidate.preprocessing.color == base.color
        weights.append(
            (scaled if candidate.is_scaled_alike(own) else 1.0) * (coloured if same_color else 1.0)
        )
        common = min(most, _COMMON.get(candidate.spec.preset or "", 1.0))
        return max(weights) * common * (1.0 if candidate.preprocessing.color == "bgr" else rgb)

    return prior


def basis_of(decision: Decision, before: Basis) -> Basis:
    """Return what the preprocessing that was taken rests on; `before`, what it was to rest on."""
    verdict, assumed, taken = decision.verdict, decision.values[0], decision.taken.candidate
    fields = dict(before.fields)
    shown: dict[Aspect, tuple[bool, bool]] = {
        "scaling": (verdict.scaling_is_clear, taken.is_scaled_alike(assumed.candidate)),
        "color": (
            verdict.color_is_clear,
            taken.preprocessing.color == assumed.candidate.preprocessing.color,
        ),
    }
    for aspect, (is_clear, is_same) in shown.items():
        if aspect not in fields or fields[aspect] == "stated":
            continue
        if is_clear:
            fields[aspect] = "proven"
        elif not is_same:
            fields[aspect] = "assumed"
    kind = least(fields)
    kept = [] if kind == "proven" else before.reasons
    return Basis(
        kind=kind,
        fields=fields,
        reasons=[*_reasons(decision), *kept][:MOST_REASONS],
        alternatives=[
            Alternative(
                preprocessing=trial.candidate.spec,
                reason=f"its training code did so: the examples say as much for "
                f"{trial.candidate.called} ({_numbers(trial, decision)})",
            )
            for trial in decision.tied[:MOST_ALTERNATIVES]
        ],
    )


def proof_of(decision: Decision, prover: Prover) -> Proof:
    """Return what was tried and what came of it; what was frozen is asked later."""
    best = max((*decision.values, *decision.resizings), key=lambda trial: trial.score.evidence)
    of_values = [
        _tried(trial, trial.candidate.called, best.score, decision) for trial in decision.values
    ]
    of_resizing = [
        _tried(
            trial,
            f"{trial.candidate.called}, {trial.candidate.called_resizing}",
            best.score,
            decision,
        )
        for trial in decision.resizings
    ]
    found = sorted([*of_values, *of_resizing], key=lambda row: row.odds or _MOST_ODDS)
    return Proof(
        clear=decision.verdict.is_clear,
        examples=len(decision.classes),
        left_out=prover.left_out,
        unreadable=prover.pictures.unreadable[:_MOST_UNREADABLE],
        labels=len(set(decision.classes.tolist())),
        candidates=found[:MOST_TRIED],
        before=accuracy(decision.taken.score, len(decision.classes)),
    )


def accuracy(found: Score, examples: int) -> Accuracy:
    """Return a score as it is told."""
    return Accuracy(right=found.right, of=examples, log_likelihood=round(found.log_likelihood, 6))


def _tried(trial: Trial, called: str, best: Score, decision: Decision) -> Tried:
    odds = float(np.exp(min(best.evidence - trial.score.evidence, 50.0)))
    return Tried(
        **accuracy(trial.score, len(decision.classes)).model_dump(),
        called=called,
        preprocessing=trial.candidate.spec,
        odds=float(f"{odds:.4g}") if odds <= _MOST_ODDS else None,
        taken=trial is decision.taken,
    )


def _reasons(decision: Decision) -> list[str]:
    verdict, taken = decision.verdict, decision.taken
    reasons = [f"by examples: {_said(taken, decision)}"]
    assumed = decision.values[0]
    if not assumed.candidate.is_alike(taken.candidate):
        reasons.append(f"as it would have been taken otherwise, {_said(assumed, decision)}")
    others = [one for one in decision.values if not one.candidate.is_alike(taken.candidate)]
    others = [one for one in others if one is not assumed]
    if verdict.is_clear and others:
        next_best = max(others, key=lambda trial: trial.score.evidence)
        reasons.append(f"next best of the others, {_said(next_best, decision)}")
    if not verdict.is_clear:
        undecided = [
            word
            for word, is_clear in (
                ("which numbers pixels become", verdict.scaling_is_clear),
                ("the order of colours", verdict.color_is_clear),
            )
            if not is_clear
        ]
        reasons.append(
            f"the examples do not decide {' and '.join(undecided)}: more of them would, such as "
            "ten for each label (--examples)"
        )
    return [*reasons, *filter(None, [_about_resizing(decision)])]


def _about_resizing(decision: Decision) -> str | None:
    taken, ways = decision.taken, decision.resizings
    called = f"images are {taken.candidate.called_resizing}"
    if decision.resizing_is_shown:
        before = decision.values[decision.verdict.taken]
        return (
            f"{called}, for which the examples speak against {before.candidate.called_resizing} "
            f"({_numbers(before, decision)})"
        )
    if not ways:
        return None
    return (
        f"{called}: none of {len(ways)} other ways of resizing does clearly better, and with "
        f"{len(decision.resized_alike)} of them the answers are the same"
    )


def _said(trial: Trial, decision: Decision) -> str:
    return f"with {trial.candidate.called}, {_numbers(trial, decision)}"


def _numbers(trial: Trial, decision: Decision) -> str:
    return (
        f"{trial.score.right} of {len(decision.classes)} examples are right, mean log-likelihood "
        f"{trial.score.log_likelihood:.3g}"
    )
