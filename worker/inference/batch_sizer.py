"""The pace of bulk work: how many images one micro-batch may have to be over soon.

Whoever waits for a single image waits for the micro-batch in front of it. What that takes depends
on the machine, its load and the model, so it is measured, and micro-batches of batches are made
as large as fits into a given time: a short one while people ask for single images, a longer one
while there are only batches, because a network with many weights reads them all for each run.
"""

import time

# Of one micro-batch. Far below what makes a person wait ...
_SHORT_S = 0.08
# ... and what only the first one has to wait after a while, behind a slow network.
_LONG_S = 0.4
_WHILE_S = 3.0  # that a single image is remembered for
_WEIGHT = 0.3  # of the newest measurement


class Pace:
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
        """Take note of how long a micro-batch took."""
        latest = seconds / images
        before = self._seconds_per_image or latest
        self._seconds_per_image = before + _WEIGHT * (latest - before)


class Patience:
    """How long a micro-batch of a batch may hold up whoever waits for a single image."""

    def __init__(self) -> None:
        self._asked_at = -_WHILE_S

    def asked(self) -> None:
        """Take note that somebody waited for a single image."""
        self._asked_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """What one micro-batch may take."""
        return _SHORT_S if time.monotonic() - self._asked_at < _WHILE_S else _LONG_S
