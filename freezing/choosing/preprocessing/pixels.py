"""A tensor of pixels: which channel of the input each of its channels is, and what became of it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from freezing.choosing.preprocessing.constant_values import Array

MOST_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class Pixels:
    """What a tensor holds.

    Its channel `i` is `channel sources[i] of the input * factor[i] + offset[i]`.
    """

    axis: int | None  # of the channels; None: all numbers alike, their order not followed
    rank: int | None
    sources: tuple[int, ...]
    factor: Array
    offset: Array
    steps: tuple[str, ...] = ()  # the nodes that changed numbers or their order
    resizes: tuple[str, ...] = ()  # the nodes that resized on the way
    # Factor and offset behind each step so far, as long as they were the same for all channels.
    stages: tuple[tuple[float, float], ...] = ()

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has happened to numbers and order."""
        return not self.steps

    def scaled(self, name: str, factor: Any, offset: Any) -> "Pixels":
        """Return it times a factor plus an offset, by the node `name`."""
        factors, offsets = self.factor * factor, self.offset * factor + offset
        stages = self.stages
        if np.ptp(factors) == 0 and np.ptp(offsets) == 0:
            stages = (*stages, (float(factors[0]), float(offsets[0])))
        return replace(
            self, factor=factors, offset=offsets, steps=(*self.steps, name), stages=stages
        )

    def picked(self, name: str, order: list[int]) -> "Pixels":
        """Return the channels in another order, or some of them, by the node `name`."""
        return replace(
            self,
            sources=tuple(self.sources[index] for index in order),
            factor=self.factor[order],
            offset=self.offset[order],
            steps=self.steps if order == list(range(len(self.sources))) else (*self.steps, name),
        )


def pixels_of(shape: list[int | None] | None) -> Pixels:
    """Return what an input of this shape (batch first) takes."""
    rank = None if shape is None else len(shape)
    axis = None
    count = 1
    if shape is not None and rank == 4:
        axis = 1 if shape[1] in (1, 3) and shape[3] not in (1, 3) else 3
        count = shape[axis] or 3
    if count > MOST_CHANNELS:
        axis, count = None, 1
    return Pixels(axis, rank, tuple(range(count)), np.ones(count), np.zeros(count))
