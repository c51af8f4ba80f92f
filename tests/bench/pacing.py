"""How fast something runs, in rounds that are short enough to take turns."""

import time
from collections.abc import Callable
from typing import NamedTuple

ROUND_S = 0.5  # that one is run for before it is the other's turn


class Pace(NamedTuple):
    """Runs per second."""

    passed: float  # of the clock
    used: float  # of processor time, of all threads


def pace(run: Callable[[], object]) -> Pace:
    """Run something again and again for a while."""
    started, used, runs = time.perf_counter(), time.process_time(), 0
    while (passed := time.perf_counter() - started) < ROUND_S:
        run()
        runs += 1
    return Pace(runs / passed, runs / (time.process_time() - used))
