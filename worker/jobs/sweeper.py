"""The sweeper: repairs what the death of a process left behind."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import redis
import structlog

from worker.jobs.cleaning import clean
from worker.jobs.records import Lane
from worker.jobs.scripts import Scripts
from worker.jobs.tickets import TICKET_MS
from worker.settings import Settings

_log = structlog.get_logger(__name__)
_BOUND = 200  # claims and jobs of each sort that one step repairs at most
_FORGOTTEN = 50  # jobs that one step forgets at most: about a millisecond of Redis's time
_FORGETTING_S = 0.4  # for which one sweep may go on forgetting: enough for thousands of jobs
_CLEANING_S = 0.4  # likewise for uploads that nobody needs any more
_MOST_TOMBSTONES = 250_000  # forgotten jobs answered with 410 instead of 404; about 30 MB


class Swept(NamedTuple):
    """What one sweep found."""

    dead_claims: int
    timed_out: int
    forgotten: int
    cleaned: int
    lost_tickets: tuple[Lane, ...]


class Sweeper:
    """Sweeps when it is this process's turn. Runs in every worker process; a lock picks one."""

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        worker_id: str,
        send_tickets: Callable[[Sequence[Lane]], None],
    ) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._send_tickets = send_tickets
        self._client = client
        self._scripts = Scripts(client)

    def sweep(self) -> Swept | None:
        """Sweep and send the tickets that were lost; None where another process did just now.

        As many jobs have to be forgotten as ended within some seconds a day ago. So that is done
        in many short steps, for a limited time.
        """
        answer = self._scripts.run(
            "sweep",
            *[lane.value for lane in Lane],
            worker=self._worker_id,
            interval_ms=round(self._settings.sweep_interval_s * 1000),
            lease_ms=round(self._settings.lease_s * 1000),
            max_attempts=self._settings.max_attempts,
            result_ms=self._settings.result_ttl_s * 1000,
            queue_ms=self._settings.queue_ttl_s * 1000,
            most_tombstones=_MOST_TOMBSTONES,
            ticket_ms=TICKET_MS,
            bound=_BOUND,
        )
        if answer is None:
            return None
        dead, late, lanes = answer
        lost_tickets = tuple(Lane(raw.decode()) for raw in lanes)
        if lost_tickets:
            self._send_tickets(lost_tickets)
        cleaned = clean(self._client, _CLEANING_S)
        swept = Swept(dead, late, self._forget(), cleaned, lost_tickets)
        if any(swept):
            _log.info("swept", action="swept", **swept._asdict())
        return swept

    def _forget(self) -> int:
        """Forget jobs whose time has passed, all or some, and return how many."""
        deadline = time.monotonic() + _FORGETTING_S
        ttl_ms = self._settings.tombstone_ttl_s * 1000
        forgotten = 0
        while True:
            count, more = self._scripts.run("forget", tombstone_ms=ttl_ms, bound=_FORGOTTEN)
            forgotten += int(count)
            if not more or time.monotonic() > deadline:
                return forgotten
