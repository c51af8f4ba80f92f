"""Leaving work to others: versions that this process cannot load, and what becomes of their items.

A version is called `NAME@VERSION`, or `NAME@VERSION#DIGEST` where one digest of it is meant.

While another worker may be able to load a version its items wait for that one. Where nobody can,
they fail, and say why.
"""

import time

import redis

from worker.contract.workers import Worker
from worker.inference.graphs import RETRY_S, Graphs
from worker.jobs.roster import Roster
from worker.pool.process import WorkerProcess

_PATIENCE_S = 10.0  # for workers that are just starting, and for files that come back
# For workers that have not tried. Tickets come every three seconds, but the processes of one
# service do not get them in turns: one that is idle may never see one.
_UNTRIED_S = 20.0
_LOOK_S = 1.0  # between looks at the roster


class Leaving:
    """Decides whether the items of a version that cannot be loaded here are left to others."""

    def __init__(self, process: WorkerProcess, graphs: Graphs) -> None:
        self._process = process
        self._graphs = graphs
        self._roster = Roster(process.client, process.settings)
        self._rows: list[Worker] = []
        self._looked_at = float("-inf")

    def versions(self) -> list[str]:
        """Return the versions of which nothing is claimed now; later they are tried again."""
        now = time.monotonic()
        return self._graphs.being_tried() + [
            version
            for version, failure in self._graphs.failures().items()
            if now - failure.last < RETRY_S and not self.is_hopeless(version)
        ]

    def is_hopeless(self, version: str) -> bool:
        """Whether no ready worker can load the version or is about to, for long enough."""
        failure = self._graphs.failures().get(version)
        if failure is None:
            return False
        waited = time.monotonic() - failure.since
        if waited < _PATIENCE_S:
            return False
        hopeful = {"ready", "loading", "dropped"} | ({None} if waited < _UNTRIED_S else set())
        return not any(_state(row, version) in hopeful for row in self._others())

    def _others(self) -> list[Worker]:
        process, now = self._process, time.monotonic()
        if now - self._looked_at > _LOOK_S:
            self._looked_at = now
            try:
                self._rows = self._roster.read()
            except redis.RedisError:  # what was known before is as good as anything
                return self._rows
        lanes = {lane.value for lane in process.lanes}
        return [
            row
            for row in self._rows
            if row.state == "ready" and row.id != process.id and lanes & set(row.queues)
        ]


def _state(row: Worker, version: str) -> str | None:
    """Return what a worker says of the version; None where it has not tried to load it.

    `other` where it has a version of that name and number, but of another digest.
    """
    called, _, wanted = version.partition("#")
    states: dict[str, str] = {}
    for graph in row.graphs:
        if f"{graph.model}@{graph.version}" == called:
            is_meant = graph.digest in ("", wanted) or not wanted
            states["" if is_meant else "other"] = graph.state
    return states.get("", "other" if states else None)
