"""How many images one micro-batch may have, so that it is over in a given time.

A request for a single image waits for the micro-batch in front of it. How long that takes depends
on the machine, its load and the model, so it is measured. Micro-batches of batches are as large as
fits into a latency budget: a short one while single images are requested, a longer one while there
are only batches, because a network with many weights reads them all for each run.
"""

import time

# Budgets of one micro-batch: far below what makes a person wait, and what only the first request
# after a pause has to wait, behind a slow network.
_SHORT_S = 0.08
_LONG_S = 0.4
_REMEMBERED_S = 3.0  # for which a single image keeps the budget short
_WEIGHT = 0.3  # of the newest measurement


class BatchSizer:
    """Measures micro-batches and says how large the next one may be."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seconds_per_image = 0.0

    def images(self, seconds: float) -> int:
        """Return the number of images that fit into the time."""
        if self._seconds_per_image <= 0:
            return self._most
        return max(1, min(self._most, int(seconds / self._seconds_per_image)))

    def measured(self, images: int, seconds: float) -> None:
        """Take the time of a micro-batch into account."""
        latest = seconds / images
        before = self._seconds_per_image or latest
        self._seconds_per_image = before + _WEIGHT * (latest - before)


class LatencyBudget:
    """How long a micro-batch of a batch may delay requests for single images."""

    def __init__(self) -> None:
        self._requested_at = -_REMEMBERED_S

    def requested(self) -> None:
        """Note that a single image was requested."""
        self._requested_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """The time that one micro-batch may take."""
        recent = time.monotonic() - self._requested_at < _REMEMBERED_S
        return _SHORT_S if recent else _LONG_S
