"""What every worker process does beside its work: report, renew its claims, sweep."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence

import psutil
import redis
import structlog

from worker.connection import connect
from worker.jobs.claims import Claims
from worker.jobs.records import Lane
from worker.jobs.roster import GraphReport, Roster, WorkerReport, new_worker_id
from worker.jobs.store import JobStore
from worker.jobs.sweeper import Sweeper
from worker.settings import Settings

_log = structlog.get_logger(__name__)
_TICK_S = 0.5


class WorkerProcess:
    """One worker process: its name, its connection, its claims and the thread that keeps them.

    `graphs` is asked for the report's rows; `on_tick`, where set, is called about twice a second.
    """

    def __init__(
        self,
        settings: Settings,
        lanes: Sequence[Lane],
        send_ticket: Callable[[Lane], None],
        *,
        graphs: Callable[[], Sequence[GraphReport]] = tuple,
    ) -> None:
        self.settings = settings
        self.lanes = tuple(lanes)
        self.id = new_worker_id()
        self.client = connect(settings)
        self.claims = Claims(self.client, settings, self.id)
        self.store = JobStore(self.client, settings)
        self.items = 0
        self.state = "starting"
        self._graphs = graphs
        self.on_tick: Callable[[], None] | None = None
        self._roster = Roster(self.client, settings)
        self._sweeper = Sweeper(self.client, settings, self.id, send_ticket)
        self._send_ticket = send_ticket
        self._started_ms = round(time.time() * 1000)
        self._memory = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        """Start the keeper thread; from now on the process is on the roster."""
        self._thread.start()

    def ready(self) -> None:
        """Say that the process takes work from now on."""
        self.state = "ready"
        self._try(self._report)

    def stop(self) -> None:
        """Leave the roster and stop the keeper; claims still held run out by themselves."""
        self.state = "stopping"
        self._stop.set()
        self._thread.join(timeout=2)
        self._try(lambda: self._roster.leave(self.id))

    def send_tickets(self, lanes: Sequence[Lane]) -> None:
        """Send tickets; one that cannot be sent is left to the sweeper."""
        for lane in lanes:
            try:
                self._send_ticket(lane)
            except Exception as error:  # kombu raises errors of many libraries
                _log.warning("ticket not sent", action="ticket_not_sent", error=str(error))

    def _keep(self) -> None:
        due = {"renew": 0.0, "report": 0.0, "sweep": 0.0}
        every = {
            "renew": self.settings.lease_s / 3,
            "report": self.settings.heartbeat_s,
            "sweep": self.settings.sweep_interval_s,
        }
        duties = {"renew": self._renew, "report": self._report, "sweep": self._sweeper.sweep}
        while not self._stop.wait(min(_TICK_S, *every.values())):
            now = time.monotonic()
            for name, duty in duties.items():
                if now >= due[name]:
                    due[name] = now + every[name]
                    self._try(duty)
            if self.on_tick:
                self._try(self.on_tick)

    def _try(self, duty: Callable[[], object]) -> None:
        """Do a duty; what fails now is tried again at the next turn."""
        try:
            duty()
        except redis.RedisError as error:
            _log.warning("store unavailable", action="store_unavailable", error=str(error))
        except Exception:  # the keeper must outlive whatever one duty meets
            _log.exception("keeper failed", action="keeper_failed")

    def _renew(self) -> None:
        for number in self.claims.renew():
            _log.warning("claim lost", action="claim_lost", claim=number)

    def _report(self) -> None:
        with contextlib.suppress(psutil.Error):
            self._roster.report(
                WorkerReport(
                    id=self.id,
                    pid=os.getpid(),
                    host=socket.gethostname(),
                    state=self.state,
                    queues=[lane.value for lane in self.lanes],
                    graphs=list(self._graphs()),
                    memory_bytes=self._memory.memory_info().rss,
                    items=self.items,
                    started_ms=self._started_ms,
                )
            )
