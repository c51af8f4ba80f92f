"""The sweeper: repairs what the death of a process left behind."""

from collections.abc import Callable
from typing import NamedTuple

import redis
import structlog

from worker.jobs.keys import key
from worker.jobs.records import Lane
from worker.jobs.scripts import Scripts
from worker.jobs.store import TICKET_MS
from worker.settings import Settings

_log = structlog.get_logger(__name__)
_BOUND = 200  # claims and jobs of each sort that one sweep repairs at most


class Swept(NamedTuple):
    """What one sweep found."""

    dead_claims: int
    timed_out: int
    forgotten: int
    lost_tickets: tuple[Lane, ...]


class Sweeper:
    """Sweeps when it is this process's turn. Runs in every worker process; a lock picks one."""

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        worker_id: str,
        send_ticket: Callable[[Lane], None],
    ) -> None:
        self._client = client
        self._settings = settings
        self._worker_id = worker_id
        self._send_ticket = send_ticket
        self._scripts = Scripts(client)

    def sweep(self) -> Swept | None:
        """Sweep once and send the tickets that were lost, or None while another process does.

        The lock is not released but left to expire, so that all processes together sweep once per
        interval.
        """
        interval_ms = round(self._settings.sweep_interval_s * 1000)
        if not self._client.set(key("sweeper"), self._worker_id, nx=True, px=interval_ms):
            return None
        dead, late, old, lanes = self._scripts.run(
            "sweep",
            self._settings.max_attempts,
            self._settings.result_ttl_s * 1000,
            self._settings.queue_ttl_s * 1000,
            self._settings.tombstone_ttl_s * 1000,
            TICKET_MS,
            _BOUND,
            self._settings.open_batch_ttl_s * 1000,
            *[lane.value for lane in Lane],
        )
        swept = Swept(dead, late, old, tuple(Lane(raw.decode()) for raw in lanes))
        for lane in swept.lost_tickets:
            self._send_ticket(lane)
        if any(swept):
            _log.info("swept", action="swept", **swept._asdict())
        return swept
