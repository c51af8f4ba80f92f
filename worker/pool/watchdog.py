"""The watchdog: knows when a graph that this process loads or runs never ends.

Each run has a time limit, derived from how long the graph's first runs took. On a machine that is
suspended or overloaded every run takes long, so the time alone does not count: a run that never
ends also uses the processor all the time. If no thread works during a run, the run waits for memory
that it may not take: TensorFlow's allocator does so for ten seconds.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from worker.pool.scoreboard import Slot
from worker.pool.threads import others_wait

TICK_S = 0.5  # time between two calls of `look`
_WAITING_LOOKS = 4  # in a row in which no thread worked, until a run counts as waiting
_CPU_SHARE = 0.25  # share of its limit for which an endless run has used the processor


@dataclass
class GraphRun:
    """The loading or running of a version in this process now."""

    version: str  # NAME@VERSION
    limit_s: float
    loading: bool = False  # else running
    started: float = field(default_factory=time.monotonic)
    cpu: float = field(default_factory=time.process_time)  # of the process, when it began
    looks: int = 0  # calls of `look` since then
    waiting: int = 0  # the latest of them in which no thread worked

    @property
    def waits(self) -> bool:
        """Whether it waits for memory."""
        return self.waiting >= _WAITING_LOOKS


class Watchdog:
    """Knows which graphs are loaded or run in this process, since when and for how long they may.

    `slot` is where the version stands for the process that replaces this one.
    """

    def __init__(self, slot: Slot | None = None) -> None:
        self._slot = slot
        self._runs: dict[int, GraphRun] = {}  # by thread

    @contextmanager
    def watching(self, version: str, limit_s: float, *, loading: bool = False) -> Iterator[None]:
        """Watch the loading or running of a version in this thread."""
        thread = threading.get_ident()
        self._runs[thread] = GraphRun(version, limit_s, loading)
        if self._slot is not None:
            self._slot.set_version(version, loading=loading)
        try:
            yield
        finally:
            del self._runs[thread]
            if self._slot is not None:
                self._slot.set_version("", loading=loading)

    def look(self) -> GraphRun | None:
        """Return a run that never ends, if there is one. To be called every `TICK_S`."""
        now, cpu = time.monotonic(), time.process_time()
        runs = list(self._runs.values())
        waiting = bool(runs) and others_wait()
        for run in runs:
            run.looks += 1
            run.waiting = run.waiting + 1 if waiting and not run.loading else 0
            if run.waits:
                return run
        # How much of the processor each of several runs used is not known.
        fair = len(runs) or 1
        for run in runs:
            limit = run.limit_s * fair
            if now - run.started > limit and cpu - run.cpu > limit * _CPU_SHARE:
                return run
        return None

    def stuck(self) -> GraphRun | None:
        """Return what is run now, where the rest of the process could go on all the time."""
        now = time.monotonic()
        for run in list(self._runs.values()):
            if not run.loading and run.looks * TICK_S > (now - run.started) / 2:
                return run
        return None
