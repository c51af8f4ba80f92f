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
# Runs from which on the size that was not run for longest is tried again, as soon as so many images
# wait: the machine's load may have changed. After twice as many it is one that need not wait.
_TRY_AFTER = 60
_LITTLE_MORE = 1.1


class Pieces:
    """Measures the runs of one graph in one process and says how large the next one shall be."""

    def __init__(self, most: int) -> None:
        """Know nothing; `most` is the largest micro-batch."""
        sizes = sorted({size for size in _SIZES if size < most} | {most})
        self._costs: dict[int, deque[float]] = {size: deque(maxlen=_KEPT) for size in sizes}
        self._known: dict[int, float] = {}  # the one in the middle
        self._met: set[int] = set()  # sizes run once: that run prepared what the others need
        self._measured = dict.fromkeys(sizes, 0)  # the number of each size's latest run
        self._runs = 0
        self._tried = 0  # the number of the run that last tried a size again

    def next(self, waiting: int) -> int:
        """Return how many of the images that wait shall be run now: 1 to `waiting`."""
        self._runs += 1
        sizes = [size for size in self._costs if size <= waiting]
        unknown = [size for size in sizes if len(self._costs[size]) < _ENOUGH]
        if unknown:
            return max(unknown)
        since = self._runs - self._tried
        if since > _TRY_AFTER:
            among = sizes if since > 2 * _TRY_AFTER else list(self._costs)
            stalest = min(among, key=lambda size: self._measured[size])
            if stalest <= waiting:
                self._tried = self._runs
                return stalest
        # As many pieces as a size makes of what waits, but none a small rest; or all at once.
        alike = {-(-waiting // -(-waiting // size)) for size in sizes} | {waiting}
        return min(alike, key=lambda size: (self._cost(size), size))

    @property
    def efficient(self) -> int:
        """The least of the sizes that cost an image little more than the best one does.

        While the largest of those that were measured is the best, the next one is worth a try.
        """
        known = self._known
        if not known:
            return 1
        best, largest = min(known, key=lambda size: known[size]), max(known)
        if best == largest:
            return next((size for size in self._costs if size > largest), largest)
        return min(size for size, cost in known.items() if cost <= known[best] * _LITTLE_MORE)

    def _cost(self, images: int) -> float:
        """Return the seconds per image of a run; of a size that is none of ours, by the next ones.

        Between two sizes the time of a run grows by the same with each image. Beyond the largest
        one that was measured, an image is taken to cost what it does there.
        """
        known = self._known
        if images in known:
            return known[images]
        below = max(size for size in known if size < images)
        above = min((size for size in known if size > images), default=None)
        if above is None:
            return known[below]
        first, last = known[below] * below, known[above] * above
        return (first + (last - first) * (images - below) / (above - below)) / images

    def ran(self, images: int, seconds: float) -> None:
        """Take note of how long a run took."""
        costs = self._costs.get(images)
        if costs is None:
            return
        if images in self._met:
            costs.append(seconds / images)
            self._known[images] = median(costs)
        self._measured[images] = self._runs
        self._met.add(images)
