"""The heartbeat of a worker process: what it reports of itself to the roster."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence

import psutil
import redis

from worker.jobs.records import Lane
from worker.jobs.roster import GraphReport, Roster, WorkerReport
from worker.pool.memory import MemoryLimit
from worker.settings import Settings


class Heartbeat:
    """Reports one process. `state`, `graphs` and `items_done` are asked at each report.

    `confinement` is what the process gave up.
    """

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        worker_id: str,
        lanes: Sequence[Lane],
        memory: MemoryLimit,
        *,
        state: Callable[[], str],
        graphs: Callable[[], Sequence[GraphReport]],
        items_done: Callable[[], int],
        confinement: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._roster = Roster(client, settings)
        self._worker_id, self._lanes, self._memory = worker_id, lanes, memory
        self._state, self._graphs, self._items_done = state, graphs, items_done
        self._confinement = confinement
        self._started_ms = round(time.time() * 1000)
        self._reported: tuple[str, Sequence[GraphReport]] = ("", ())  # state and graphs

    def report_changes(self) -> None:
        """Report if the state or the graphs are not those of the last report."""
        if (self._state(), list(self._graphs())) != self._reported:
            self.report()

    def report(self) -> None:
        """Report how this process is."""
        state, graphs = self._state(), list(self._graphs())
        with contextlib.suppress(psutil.Error):
            self._roster.report(
                WorkerReport(
                    id=self._worker_id,
                    pid=os.getpid(),
                    host=socket.gethostname(),
                    state=state,
                    queues=[lane.value for lane in self._lanes],
                    graphs=graphs,
                    memory_bytes=self._memory.used,
                    items=self._items_done(),
                    started_ms=self._started_ms,
                    confinement=self._confinement,
                )
            )
            self._reported = (state, graphs)

    def leave(self) -> None:
        """Take this process off the roster, because it stops."""
        self._roster.leave(self._worker_id)

    def remove_dead(self, is_dead: Callable[[str], bool]) -> None:
        """Take processes that are known to have died off the roster."""
        self._roster.remove_dead(is_dead)
