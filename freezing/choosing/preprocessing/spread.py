"""How far a network's answers to different pictures lie apart, by the range these are fed in.

A network that was trained on 0..1 answers to 0..255 with logits in the hundreds: all its softmaxes
are one and nought. One that was trained on 0..255 hardly sees 0..1: all pictures get the same
answer. Of 9 trained public networks the logits of made up photographs, fed as they were trained,
had a standard deviation of 0.8 to 5.4; fed in the other range, of more than 140 or less than 0.4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.float64]

_COUNT = 4
_SATURATED = 30.0  # of logits: no training gets them so far apart
_LIKELY = 12.0  # of logits: trained networks hardly get them further apart
_BLIND = 0.5  # of logits: pictures are hardly told from each other
_APART = 5.0  # how much farther they must lie in the range that is meant
_FLOOR = 1e-30  # of probabilities
_SHARED = 0.92  # share of brightness in a colour: in photographs they vary together


@dataclass(frozen=True)
class AnsweredRange:
    """The range of pixels that a network answers to."""

    fed: Literal["raw", "zero_one"]
    reason: str


def answered_range(run: Callable[[Array], Rows], pictures: Array, op: str) -> AnsweredRange | None:
    """Return which range the network answers to, and why; None where that does not show.

    `run` takes pictures of 0..255 or 0..1, shape (pictures, height, width, channels), and returns
    their scores; `op` is what computes them.
    """
    raw, unit = (
        spread_of(run(pictures * factor), op) for factor in (np.float32(255), np.float32(1))
    )
    if raw is None or unit is None:
        return None
    if raw >= _SATURATED and unit < _SATURATED:
        why = (
            "fed from 0 to 255 its scores are all 0 or 1, as of a network that was trained on "
            "smaller numbers"
        )
        return AnsweredRange("zero_one", why)
    if unit < _BLIND and _APART * unit < raw < _LIKELY:
        why = (
            "fed from 0 to 1 it hardly tells pictures from each other (its logits differ by "
            f"{unit:.2g}, from 0 to 255 by {raw:.2g})"
        )
        return AnsweredRange("raw", why)
    return None


def photographs(height: int, width: int, channels: int) -> Array:
    """Return made up pictures of 0..1 with the statistics of photographs, the same ones always.

    Shape (4, height, width, channels). Their spectrum falls as 1/f (D. J. Field, 1987).
    """
    generator = np.random.default_rng(15)
    frequency = np.hypot(np.fft.rfftfreq(width)[None], np.fft.fftfreq(height)[:, None])
    frequency[0, 0] = 1.0

    def field() -> npt.NDArray[np.float64]:
        noise = generator.normal(size=frequency.shape) + 1j * generator.normal(size=frequency.shape)
        noise[0, 0] = 0
        made: npt.NDArray[np.float64] = np.fft.irfft2(noise / frequency, (height, width))
        return made / max(float(made.std()), 1e-9)

    pictures = np.empty((_COUNT, height, width, channels), np.float32)
    for picture in pictures:
        brightness = field()
        level, contrast = generator.uniform(0.25, 0.7), generator.uniform(0.12, 0.28)
        for channel in range(channels):
            mixed = np.sqrt(_SHARED) * brightness + np.sqrt(1 - _SHARED) * field()
            picture[..., channel] = level + generator.normal(0, 0.05) + contrast * mixed
    return np.clip(pictures, 0, 1)


def spread_of(scores: Rows, op: str) -> float | None:
    """Return the standard deviation of logits over pictures; None where there are none.

    Infinite where probabilities are so close to 0 and 1 that their logits cannot be told.
    """
    if scores.ndim != 2 or not scores.size or not np.all(np.isfinite(scores)):
        return None
    if op == "Softmax":
        if np.mean(scores < _FLOOR) > 0.2 or np.all(scores.max(1) > 1 - 1e-6):
            return float("inf")
        logits = np.log(np.maximum(scores, _FLOOR))
    elif op == "Sigmoid":
        if np.mean((scores < 1e-6) | (scores > 1 - 1e-6)) > 0.5:
            return float("inf")
        kept = np.clip(scores, 1e-12, 1 - 1e-7)
        logits = np.log(kept / (1 - kept))
    else:
        logits = scores
    centred = logits - logits.mean(1, keepdims=True) if logits.shape[1] > 1 else logits
    return float(np.mean(centred.std(0)))
