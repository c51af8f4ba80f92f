"""How many images one run of a graph should have; a micro-batch is done in several runs.

The values between a graph's operations grow with the images of a run. While they fit into the
processor's cache, a run takes less time per image; but a graph with many weights reads them all for
each run. Which size is best depends on the graph, the runtime and the machine, so the runs that do
the work are measured.
"""

from collections import deque
from statistics import median

_SIZES = (1, 2, 4, 6, 8, 16, 32, 64)
_KEPT = 5  # latest measurements of each size, of which the median counts
_ENOUGH = 2  # measurements of a size, before it is compared with others
# After so many runs the size that was not run for longest is tried again, as soon as enough images
# wait, because the machine's load may have changed. After twice as many runs it is chosen among the
# sizes for which enough images wait.
_TRY_AFTER = 60
_LITTLE_MORE = 1.1  # times the lowest cost, up to which a size counts as efficient


class RunSizes:
    """Measures the runs of one graph in one process and says how large the next one shall be."""

    def __init__(self, most: int) -> None:
        """`most` is the largest micro-batch."""
        sizes = sorted({size for size in _SIZES if size < most} | {most})
        self._costs: dict[int, deque[float]] = {size: deque(maxlen=_KEPT) for size in sizes}
        self._known: dict[int, float] = {}  # the median of each size
        self._met: set[int] = set()  # sizes run once; the first run prepares and is not measured
        self._measured = dict.fromkeys(sizes, 0)  # the number of each size's latest run
        self._runs = 0
        self._tried = 0  # the number of the run that last tried a size again

    def next(self, waiting: int) -> int:
        """Return how many of the waiting images to run now: 1 to `waiting`."""
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
        # As many runs as a size makes of what waits, all about as large; or one run.
        alike = {-(-waiting // -(-waiting // size)) for size in sizes} | {waiting}
        return min(alike, key=lambda size: (self._cost(size), size))

    @property
    def efficient(self) -> int:
        """The smallest size whose cost per image is little above the lowest.

        While the largest size measured has the lowest cost, the next larger one is returned.
        """
        known = self._known
        if not known:
            return 1
        best, largest = min(known, key=lambda size: known[size]), max(known)
        if best == largest:
            return next((size for size in self._costs if size > largest), largest)
        return min(size for size, cost in known.items() if cost <= known[best] * _LITTLE_MORE)

    def _cost(self, images: int) -> float:
        """Return the seconds per image of a run, interpolated between the sizes measured.

        Between two sizes the time of a run is taken to grow linearly. Beyond the largest size
        measured, the cost per image is taken to stay the same.
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
        """Take the time of a run into account."""
        costs = self._costs.get(images)
        if costs is None:
            return
        if images in self._met:
            costs.append(seconds / images)
            self._known[images] = median(costs)
        self._measured[images] = self._runs
        self._met.add(images)
