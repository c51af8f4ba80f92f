"""Weights: the share of each pixel of a line in the pixels of the resized line."""

import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from worker.images.resizing.filters import FILTERS

# A weight of 1 as a whole number. A sum of pixels of 8 bits times weights that are 1 together just
# fits into 32 bits with it.
PRECISION = 22

# Pixels of a line up to which its weights are remembered: 5 kB for a photograph, and less than 200
# for the longest. Those of longer ones would be megabytes, which strangers could have us keep.
_LONGEST = 4096


class Weights(NamedTuple):
    """What one pass takes from a line, for each of the `width` pixels that it makes of it."""

    firsts: npt.NDArray[np.int64]  # (width,): the first pixel that counts
    counts: npt.NDArray[np.int64]  # (width,): how many do
    factors: npt.NDArray[np.int32]  # (width, taps): of these, in 2 ** -22; the rest are nought


class PairedWeights(NamedTuple):
    """The same for a pass that takes two pixels of four values at once, and equally many pairs.

    How often a loop is repeated is not to be foreseen by the processor where it varies, and a
    wrong guess costs as much as two pairs.
    """

    firsts: npt.NDArray[np.int64]  # (width,)
    factors: npt.NDArray[np.int32]  # (width, pairs, 8): each once for every value


def weights(kind: str, length: int, start: float, end: float, width: int) -> Weights:
    """Return what makes `width` pixels of those from `start` to `end` of a line of `length`.

    `kind` is `bilinear`, which is Pillow's, or one of `FILTERS`, for which both ends are whole
    numbers. What is not too large is remembered.
    """
    return (_remembered if length <= _LONGEST else _weights)(kind, length, start, end, width)


def _weights(kind: str, length: int, start: float, end: float, width: int) -> Weights:
    if kind == "bilinear":
        return _bilinear(length, start, end, width)
    firsts, shares = FILTERS[kind](int(end - start), width)
    # What is lost by rounding one is made up for by the next, so that all together are 1.
    sums = np.rint(np.cumsum(shares, axis=1) * (1 << PRECISION))
    factors = np.diff(sums, axis=1, prepend=0.0).astype(np.int32)
    counts = np.full(width, factors.shape[1])
    counts = np.minimum(counts, int(end - start) - firsts)
    return Weights(firsts + int(start), counts, factors)


_remembered = functools.lru_cache(256)(_weights)


def _bilinear(length: int, start: float, end: float, width: int) -> Weights:
    """Return the weights of Pillow's bilinear filter.

    Triangles as wide as two pixels of the result, or of the line where that has fewer. All of it
    is computed as Pillow does (`precompute_coeffs` and `normalize_coeffs_8bpc` in its Resample.c),
    to the last bit: the ends are of single precision and the rest of double, sums are made from
    the left, and weights are rounded, half away from nought.
    """
    first, last = np.float32(start), np.float32(end)
    scale = float(last - first) / width
    support = max(scale, 1.0)
    taps = math.ceil(support) * 2 + 1
    centres = float(first) + (np.arange(width) + 0.5) * scale
    firsts = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    ends = np.minimum((centres + support + 0.5).astype(np.int64), length)
    counts = ends - firsts
    tap = np.arange(taps)[:, np.newaxis]
    shares = 1.0 - np.abs((tap + firsts - centres + 0.5) * (1.0 / support))
    shares[(tap >= counts) | (shares < 0.0)] = 0.0
    shares /= np.add.accumulate(shares, axis=0)[-1]  # `sum` would not go from the first to the last
    factors = (shares * (1 << PRECISION) + 0.5).astype(np.int32)
    return Weights(firsts, counts, np.ascontiguousarray(factors.T))


def paired(kind: str, length: int, start: float, end: float, width: int) -> PairedWeights | None:
    """Return what `weights` does, in pairs; None where the line has fewer pixels than they."""
    return (_paired_remembered if length <= _LONGEST else _paired)(kind, length, start, end, width)


def _paired(kind: str, length: int, start: float, end: float, width: int) -> PairedWeights | None:
    firsts, counts, factors = weights(kind, length, start, end, width)
    taps = math.ceil(int(counts.max()) / 2) * 2
    if taps > length:
        return None
    early = np.maximum(firsts + taps - length, 0)  # by so many pixels, lest the last is beyond
    tap = np.arange(taps) - early[:, np.newaxis]
    counting = (tap >= 0) & (tap < counts[:, np.newaxis])
    moved = np.zeros((width, taps), np.int32)
    pixel, _ = np.nonzero(counting)
    moved[counting] = factors[pixel, tap[counting]]
    return PairedWeights(firsts - early, np.repeat(moved, 4, axis=1).reshape(width, taps // 2, 8))


_paired_remembered = functools.lru_cache(256)(_paired)
