"""The watchdog: tells when a graph that this process loads or runs never ends.

A run has a limit of its own, from what the graph's first runs took. A machine that stands still or
has too much to do makes honest runs long too, so the time alone does not count: a run that never
ends uses the processor all the while. One beside which no thread works at all waits for memory that
it may not take: TensorFlow's allocator does so for ten seconds.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from worker.pool.scoreboard import Deadline
from worker.pool.threads import others_wait

TICK_S = 0.5  # time between two looks
_WAITING_LOOKS = 4
_CPU_SHARE = 0.25  # of its limit, that a run which never ends has used the processor for


@dataclass
class GraphRun:
    """Something that a version does in this process now."""

    version: str  # NAME@VERSION
    limit_s: float
    loading: bool = False  # or else running
    started: float = field(default_factory=time.monotonic)
    cpu: float = field(default_factory=time.process_time)  # of the process, when it began
    looks: int = 0  # of the watchdog, since then
    waiting: int = 0  # of these, the latest in which no thread worked

    @property
    def waits(self) -> bool:
        """Whether it waits for memory."""
        return self.waiting >= _WAITING_LOOKS


class Watchdog:
    """Knows what graphs do in this process, since when and for how long they may.

    `deadline` is where what is run is noted for those who outlive this process.
    """

    def __init__(self, deadline: Deadline | None = None) -> None:
        self._deadline = deadline
        self._runs: dict[int, GraphRun] = {}  # by thread

    @contextmanager
    def watching(self, version: str, limit_s: float, *, loading: bool = False) -> Iterator[None]:
        """Watch over what this thread does with a version."""
        thread = threading.get_ident()
        self._runs[thread] = GraphRun(version, limit_s, loading)
        if self._deadline is not None:
            self._deadline.note(version, loading=loading)
        try:
            yield
        finally:
            del self._runs[thread]
            if self._deadline is not None:
                self._deadline.note("", loading=loading)

    def look(self) -> GraphRun | None:
        """Return what never ends, if anything. To be called every `TICK_S`."""
        now, cpu = time.monotonic(), time.process_time()
        runs = list(self._runs.values())
        waiting = bool(runs) and others_wait()
        for run in runs:
            run.looks += 1
            run.waiting = run.waiting + 1 if waiting and not run.loading else 0
            if run.waits:
                return run
        # What two of them used cannot be told apart.
        fair = len(runs) or 1
        for run in runs:
            limit = run.limit_s * fair
            if now - run.started > limit and cpu - run.cpu > limit * _CPU_SHARE:
                return run
        return None

    def stuck(self) -> GraphRun | None:
        """Return what is run now, where the process could go on beside it all the while."""
        now = time.monotonic()
        for run in list(self._runs.values()):
            if not run.loading and run.looks * TICK_S > (now - run.started) / 2:
                return run
        return None
