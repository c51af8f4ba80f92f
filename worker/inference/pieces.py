"""The pieces of a micro-batch: how many images one run of a graph takes best.

What a graph keeps between its operations grows with the images of a run. As long as it fits into a
processor's own cache a run is faster by an image; but a graph with many weights reads them all for
each run. Which size is the best depends on the graph, the runtime and the machine, so runs are
measured while they do their work.
"""

from collections import deque
from statistics import median

_SIZES = (1, 2, 4, 6, 8, 16, 32, 64)
_KEPT = 5  # latest measurements of each size, of which the one in the middle counts
_ENOUGH = 2  # measurements of a size, before it is compared with others
# Runs, of which one tries another size again: the machine's load may have changed. It is a prime,
# lest it be the same piece of each micro-batch, for which only the small sizes are left.
_TRY_EVERY = 61


class Pieces:
    """Measures the runs of one graph in one process and says how large the next one shall be."""

    def __init__(self, most: int) -> None:
        """Know nothing; `most` is the largest micro-batch."""
        sizes = sorted({size for size in _SIZES if size < most} | {most})
        self._costs: dict[int, deque[float]] = {size: deque(maxlen=_KEPT) for size in sizes}
        self._met: set[int] = set()  # sizes run once: that run prepared what the others need
        self._measured = dict.fromkeys(sizes, 0)  # the number of each size's latest run
        self._runs = 0

    def next(self, waiting: int) -> int:
        """Return how many of the images that wait shall be run now: 1 to `waiting`."""
        self._runs += 1
        sizes = [size for size in self._costs if size <= waiting]
        unknown = [size for size in sizes if len(self._costs[size]) < _ENOUGH]
        if unknown:
            return max(unknown)
        if self._runs % _TRY_EVERY == 0:
            return min(sizes, key=lambda size: self._measured[size])
        best = min(sizes, key=lambda size: median(self._costs[size]))
        return -(-waiting // -(-waiting // best))  # as many pieces, but none a small rest

    def ran(self, images: int, seconds: float) -> None:
        """Take note of how long a run took."""
        costs = self._costs.get(images)
        if costs is None:
            return
        if images in self._met:
            costs.append(seconds / images)
        self._measured[images] = self._runs
        self._met.add(images)
