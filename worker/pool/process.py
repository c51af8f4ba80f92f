"""The life of a worker process: it starts, renews its claims, reports, sweeps and stops."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import redis
import structlog

from worker.jobs.records import Lane
from worker.jobs.roster import GraphReport, is_dead_relative, new_worker_id
from worker.jobs.store import JobStore
from worker.jobs.sweeper import Sweeper
from worker.pool.claims import ProcessClaims
from worker.pool.heartbeat import Heartbeat
from worker.pool.memory import MemoryLimit
from worker.pool.overdue import OverdueCheck
from worker.pool.scoreboard import Slot
from worker.pool.watchdog import Watchdog
from worker.redis.connection import connect
from worker.settings import Settings

_log = structlog.get_logger(__name__)
_TICK_S = 0.5
_ENDED_BY_ITSELF = 70  # exit code of a process that ended itself (EX_SOFTWARE)
_STOPPED = "its worker was stopped."


class WorkerProcess:
    """One worker process: its name, its connection, its claims and the thread that keeps them.

    `graphs` gives the rows of the report; `is_accepting` says whether tickets reach this process
    yet, `is_stopping` whether its worker was asked to stop. Processes of one worker have one
    `pool_id`. `slot` is this one's place on the scoreboard, `watchdog` knows what graphs do, and
    `confinement` is what this process gave up.

    `on_tick`, where set, is called about twice a second, and soon after `wake`.
    """

    def __init__(
        self,
        settings: Settings,
        lanes: Sequence[Lane],
        send_ticket: Callable[[Lane], None],
        *,
        graphs: Callable[[], Sequence[GraphReport]] = tuple,
        is_accepting: Callable[[], bool] = lambda: True,
        is_stopping: Callable[[], bool] = lambda: False,
        pool_id: str = "",
        slot: Slot | None = None,
        confinement: Mapping[str, Sequence[str]] | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        self.settings = settings
        self.lanes = tuple(lanes)
        self.id = new_worker_id(pool_id)
        self.client = connect(settings)
        self.claims = ProcessClaims(self.client, settings, self.id, slot)
        self.store = JobStore(self.client, settings)
        self.memory = MemoryLimit(settings.worker_memory_bytes)
        self.is_stopping = is_stopping
        self.on_tick: Callable[[], None] | None = None
        self._state = "starting"
        self._is_accepting = is_accepting
        self._pool_id = pool_id
        self._send_ticket = send_ticket
        self._sweeper = Sweeper(self.client, settings, self.id, self.send_tickets)
        self._heartbeat = Heartbeat(
            self.client,
            settings,
            self.id,
            self.lanes,
            self.memory,
            state=lambda: self.state,
            graphs=graphs,
            items_done=lambda: self.claims.items_done,
            confinement=confinement,
        )
        self.overdue = OverdueCheck(
            settings,
            self.claims,
            watchdog or Watchdog(),
            is_stopping=is_stopping,
            attempt=self._attempt,
            end_process=self._end_process,
        )
        self._stop = threading.Event()
        self._wake = threading.Event()  # set where the keeper is not to wait for its next turn
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    @property
    def state(self) -> str:
        """What the roster says of this process: starting, ready or stopping."""
        if self.is_stopping():
            return "stopping"
        waiting = self._state == "ready" and not self._is_accepting()
        return "starting" if waiting else self._state

    def start(self) -> None:
        """Start the keeper thread; from now on the process is on the roster.

        This process may replace one that died: the claims of that one are taken back at once.
        """
        self._attempt(self._take_back)
        self._thread.start()

    def ready(self) -> None:
        """Report that the process takes work from now on, or as soon as tickets reach it."""
        self.memory.settle()
        self._state = "ready"
        self._attempt(self._heartbeat.report)

    def stop(self) -> None:
        """Hand back what is still held, leave the roster and stop the keeper."""
        self._state = "stopping"
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=2)
        self._attempt(self.claims.stop_waiting)
        self._attempt(lambda: self.claims.release_all(_STOPPED))
        self._attempt(self._heartbeat.leave)
        self.client.close()

    def wake(self) -> None:
        """Have the keeper take its next turn now."""
        self._wake.set()

    def send_tickets(self, lanes: Sequence[Lane]) -> None:
        """Send tickets; one that cannot be sent is left to the sweeper."""
        for lane in lanes:
            try:
                self._send_ticket(lane)
            except Exception as error:  # kombu raises errors of many libraries
                _log.warning("ticket not sent", action="ticket_not_sent", error=str(error))

    def _keep(self) -> None:
        """Renew, report and sweep, each in its interval, until the process stops."""
        due = {"renew": 0.0, "report": 0.0, "sweep": 0.0}
        every = {
            "renew": self.settings.lease_s / 3,
            "report": self.settings.heartbeat_s,
            "sweep": self.settings.sweep_interval_s,
        }
        duties: dict[str, Callable[[], object]] = {
            "renew": self._renew,
            "report": self._heartbeat.report,
            "sweep": self._sweeper.sweep,
        }
        while not self._stop.is_set():
            self._wake.wait(min(_TICK_S, *every.values()))
            self._wake.clear()
            if self._stop.is_set():
                return
            self._attempt(self.overdue.look)
            if self._stop.is_set():
                return
            self._attempt(self._heartbeat.report_changes)
            now = time.monotonic()
            for name, duty in duties.items():
                if now >= due[name]:
                    due[name] = now + every[name]
                    self._attempt(duty)
            if self.on_tick:
                self._attempt(self.on_tick)

    def _attempt(self, duty: Callable[[], object]) -> None:
        """Do a duty; what fails now is tried again at the next turn."""
        try:
            duty()
        except redis.RedisError as error:
            _log.warning("store unavailable", action="store_unavailable", error=str(error))
        except Exception:  # the keeper must outlive whatever one duty meets
            _log.exception("keeper failed", action="keeper_failed")

    def _end_process(self) -> None:
        self.stop()
        os._exit(_ENDED_BY_ITSELF)

    def _take_back(self) -> None:
        self._heartbeat.remove_dead(self._is_dead)
        taken = self.claims.take_back(self._is_dead)
        if taken:
            _log.warning("claims of the dead taken back", action="taken_back", claims=taken)
            self.send_tickets(self.lanes)

    def _is_dead(self, worker_id: str) -> bool:
        return is_dead_relative(worker_id, self._pool_id)

    def _renew(self) -> None:
        for number in self.claims.renew():
            _log.warning("claim lost", action="claim_lost", claim=number)
