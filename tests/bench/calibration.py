"""How steady the machine is: a fixed piece of work, between the turns of everybody else."""

import os
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

from tests.bench.rounds import Round

_CORES = len(os.sched_getaffinity(0))
_DATA = bytes(number * number % 251 for number in range(2**20))
_TIMES = 4  # for each core


class Calibration:
    """A contender that compresses the same megabytes on all cores; its rate is of megabytes."""

    def __init__(self, number: int) -> None:
        self.key, self.title = f"{PREFIX}{number}", "fixed work"

    def turn(self, seconds: float) -> Round:  # noqa: ARG002 - it takes as long as it takes
        """Do it once, however long a turn is."""
        began = time.perf_counter()
        with ThreadPoolExecutor(_CORES) as pool:
            done = sum(1 for _ in pool.map(zlib.compress, [_DATA] * (_TIMES * _CORES)))
        return Round(rate=done / (time.perf_counter() - began), images=done)


PREFIX = "fixed work "  # of the keys of all of them
