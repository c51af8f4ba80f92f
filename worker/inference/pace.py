"""The pace of bulk work: how many images one micro-batch may have to be over soon.

Whoever waits for a single image waits for the micro-batch in front of it. What that takes depends
on the machine, its load and the model, so it is measured, and micro-batches of batches are made
as large as fits into a given time.
"""

_LONGEST_S = 0.08  # of one micro-batch; far below what makes a person wait
_WEIGHT = 0.3  # of the newest measurement


class Pace:
    """Measures micro-batches and says how large the next one may be."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seconds_per_image = 0.0

    def images(self, seconds: float = _LONGEST_S) -> int:
        """Return the number of images that fit into the time."""
        if self._seconds_per_image <= 0:
            return self._most
        return max(1, min(self._most, int(seconds / self._seconds_per_image)))

    def measured(self, images: int, seconds: float) -> None:
        """Take note of how long a micro-batch took."""
        latest = seconds / images
        before = self._seconds_per_image or latest
        self._seconds_per_image = before + _WEIGHT * (latest - before)
