"""The roster: the last report of each worker process."""

import json
import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import redis
from pydantic import BaseModel

from worker.contract.base import built, moment
from worker.contract.workers import Worker, WorkerGraph
from worker.jobs.keys import key
from worker.jobs.records import Lane
from worker.jobs.scripts import Scripts
from worker.settings import Settings

_WORKER_ID = re.compile(r"-(\d+)-([0-9a-f]+)\Z")


@dataclass(frozen=True, kw_only=True)
class GraphReport:
    """One graph of a worker process."""

    model: str
    version: int
    sha256: str
    state: str  # loading, ready, failed, or dropped: not in memory, loaded when asked for
    loads: int  # how often this process loaded it
    load_seconds: float  # of the last load, warm-up included
    bytes: int  # size of the graph file
    runtime: str  # tensorflow or onnxruntime; empty where it is not known
    error: str | None
    digest: str = ""  # of all that decides its answers; empty where the manifest cannot be read


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """The report of one worker process."""

    id: str
    pid: int
    host: str
    state: str  # starting, ready or stopping
    queues: Sequence[str]
    graphs: Sequence[GraphReport]
    memory_bytes: int  # resident set
    items: int  # done since the process started
    started_ms: int
    # What confines it (`in_force`) and what cannot (`missing`); None for a freezing worker, which
    # has its work done by processes that are confined.
    confinement: Mapping[str, Sequence[str]] | None = None


def new_worker_id(pool_id: str = "") -> str:
    """Return a name for this process that no other one has: `HOST-PID-POOLRANDOM`.

    Processes with one `pool_id` have the same parent, so that one can see whether another lives.
    """
    return f"{socket.gethostname()}-{os.getpid()}-{pool_id}{os.urandom(3).hex()}"


def is_dead_relative(worker_id: str, pool_id: str) -> bool:
    """Whether a process of the same pool has ended; False where `pool_id` is empty."""
    match = _WORKER_ID.search(worker_id)
    if not pool_id or match is None or not match[2].startswith(pool_id):
        return False
    return not psutil.pid_exists(int(match[1]))


class Roster:
    """Reads and writes the reports of worker processes. A process that stops reporting is gone."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._client = client
        self._scripts = Scripts(client)
        self._lifetime_ms = round(settings.heartbeat_s * 4000)

    def report(self, worker: WorkerReport) -> None:
        """Write the report of this process, which also shows that it lives."""
        ready_for = [lane for lane in Lane if lane in worker.queues and worker.state == "ready"]
        said = json.dumps(asdict(worker))
        self._scripts.run(
            "report", *ready_for, worker=worker.id, lifetime_ms=self._lifetime_ms, report=said
        )

    def leave(self, worker_id: str, lanes: Iterable[Lane] = Lane) -> None:
        """Take this process, which may have served these lanes, off the roster: it stops."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zrem(key("workers"), worker_id)
            pipe.delete(key("worker", worker_id))
            for lane in lanes:
                pipe.zrem(key("serving", lane), worker_id)
            pipe.execute()

    def remove_dead(self, is_dead: Callable[[str], bool]) -> None:
        """Take processes off the roster that `is_dead` knows to have ended, at once."""
        for raw in self._client.zrange(key("workers"), 0, -1):
            if is_dead(raw.decode()):
                self.leave(raw.decode())

    def read(self) -> list[Worker]:
        """Return the living worker processes as the contract shows them."""
        seen = self._client.zrange(key("workers"), 0, -1, withscores=True)
        if not seen:
            return []
        reports = self._client.mget([key("worker", raw.decode()) for raw, _ in seen])
        rows = [
            _worker(json.loads(report), round(seen_ms))
            for (_, seen_ms), report in zip(seen, reports, strict=True)
            if report is not None
        ]
        return sorted(rows, key=lambda row: (row.queues, row.host, row.pid))


def _worker(said: dict[str, Any], seen_ms: int) -> Worker:
    """Return a report, perhaps of another version of Permafrost, whose fields differ."""
    graphs = [
        built(WorkerGraph, **{"digest": "", **_known(WorkerGraph, graph)})
        for graph in said["graphs"]
    ]
    known = _known(Worker, said)
    return built(
        Worker,
        **{
            "confinement": None,
            **known,
            "graphs": graphs,
            "started_at": moment(said["started_ms"]),
            "seen_at": moment(seen_ms),
        },
    )


def _known(model: type[BaseModel], said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name in model.model_fields}
