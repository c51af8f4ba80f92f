"""Versions that this process cannot load: their items are left to other workers, or fail.

A version is written `NAME@VERSION`, or `NAME@VERSION#DIGEST` where one digest of it is meant. Its
items wait as long as another worker may be able to load it. Where none can, they fail with the
reason.
"""

import time

import redis

from worker.contract.workers import Worker
from worker.inference.graphs import RETRY_S, Graphs
from worker.jobs.roster import Roster
from worker.pool.process import WorkerProcess

# Time that items wait in any case: for workers that just start, and for files that come back.
_WAIT_S = 10.0
# Time that items wait for workers that have not tried to load the version. Tickets come every three
# seconds, but not to each process in turn: one that is idle may never get one.
_WAIT_FOR_UNTRIED_S = 20.0
_ROSTER_S = 1.0  # between two readings of the roster


class UnavailableVersions:
    """Decides whether the items of a version that cannot be loaded here are left to others."""

    def __init__(self, process: WorkerProcess, graphs: Graphs) -> None:
        self._process = process
        self._graphs = graphs
        self._roster = Roster(process.client, process.settings)
        self._rows: list[Worker] = []
        self._read_at = float("-inf")

    def versions(self) -> list[str]:
        """Return the versions of which nothing is claimed now. They are tried again later."""
        now = time.monotonic()
        return self._graphs.being_tried() + [
            version
            for version, failure in self._graphs.failures().items()
            if now - failure.last < RETRY_S and not self.is_hopeless(version)
        ]

    def is_hopeless(self, version: str) -> bool:
        """Whether a version's items should fail, because no worker could load it for some time."""
        failure = self._graphs.failures().get(version)
        if failure is None:
            return False
        waited = time.monotonic() - failure.since
        if waited < _WAIT_S:
            return False
        hopeful = {"ready", "loading", "dropped"} | (
            {None} if waited < _WAIT_FOR_UNTRIED_S else set()
        )
        return not any(_state(row, version) in hopeful for row in self._others())

    def _others(self) -> list[Worker]:
        process, now = self._process, time.monotonic()
        if now - self._read_at > _ROSTER_S:
            self._read_at = now
            try:
                self._rows = self._roster.read()
            except redis.RedisError:  # the last reading is good enough
                return self._rows
        lanes = {lane.value for lane in process.lanes}
        return [
            row
            for row in self._rows
            if row.state == "ready" and row.id != process.id and lanes & set(row.queues)
        ]


def _state(row: Worker, version: str) -> str | None:
    """Return the state of the version at a worker; None where it has not tried to load it.

    `other` where it has a version of that name and number, but with another digest.
    """
    called, _, wanted = version.partition("#")
    states: dict[str, str] = {}
    for graph in row.graphs:
        if f"{graph.model}@{graph.version}" == called:
            is_meant = graph.digest in ("", wanted) or not wanted
            states["" if is_meant else "other"] = graph.state
    return states.get("", "other" if states else None)
