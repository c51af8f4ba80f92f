"""What every worker process does beside its work: report, renew its claims, sweep."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import psutil
import redis
import structlog

from worker.jobs.claims import Claim, Claims
from worker.jobs.records import Item, Lane, Outcome
from worker.jobs.roster import (
    GraphReport,
    Roster,
    WorkerReport,
    is_dead_relative,
    new_worker_id,
)
from worker.jobs.store import JobStore
from worker.jobs.sweeper import Sweeper
from worker.pool.memory import MemoryLimit
from worker.pool.scoreboard import Deadline
from worker.pool.watchdog import GraphRun, Watchdog
from worker.redis.connection import connect
from worker.settings import Settings

_log = structlog.get_logger(__name__)
T = TypeVar("T")
_TICK_S = 0.5
_INSIST_S = 60.0  # for how long the end of a claim is tried again while the store cannot be reached
_INSIST_AGAIN_S = 0.2
_ENDED_BY_ITSELF = 70  # exit code of a process that ended itself (EX_SOFTWARE)
_STOPPED = "its worker was stopped."


class WorkerProcess:
    """One worker process: its name, its connection, its claims and the thread that keeps them.

    `graphs` is asked for the report's rows; `consuming` whether tickets reach this process yet,
    `closing` whether its worker was asked to stop. `mark` is what processes of one worker have in
    common, and `deadline` where this one notes when its work has to be done; `watchdog` knows what
    graphs do. `confinement` is what this process gave up. `on_tick`, where set, is called about
    twice a second, and as soon as `look` asks for it; `on_struck` before the process is ended
    because of what a version does.
    """

    def __init__(
        self,
        settings: Settings,
        lanes: Sequence[Lane],
        send_ticket: Callable[[Lane], None],
        *,
        graphs: Callable[[], Sequence[GraphReport]] = tuple,
        consuming: Callable[[], bool] = lambda: True,
        closing: Callable[[], bool] = lambda: False,
        mark: str = "",
        deadline: Deadline | None = None,
        confinement: Mapping[str, Sequence[str]] | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        self.settings = settings
        self.lanes = tuple(lanes)
        self.id = new_worker_id(mark)
        self.client = connect(settings)
        self.claims = Claims(self.client, settings, self.id)
        self.store = JobStore(self.client, settings)
        self.items = 0
        self._state = "starting"
        self._reported: tuple[str, Sequence[GraphReport]] = ("", ())  # state and graphs
        self._consuming = consuming
        self._graphs = graphs
        self.on_tick: Callable[[], None] | None = None
        self._roster = Roster(self.client, settings)
        self._send_ticket = send_ticket
        self._sweeper = Sweeper(self.client, settings, self.id, self.send_tickets)
        self._started_ms = round(time.time() * 1000)
        self.memory = MemoryLimit(settings.worker_memory_bytes)
        self.closing = closing
        self._mark = mark
        self._closing_since: float | None = None
        self._deadline, self._confinement = deadline, confinement
        self._watchdog = watchdog or Watchdog()
        self.on_struck: Callable[[GraphRun], None] = lambda _: None
        self._run: tuple[Claim, float] | None = None  # what is run, and since when
        self._stop = threading.Event()
        self._look = threading.Event()  # set where the keeper is not to wait for its next turn
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    @property
    def state(self) -> str:
        """What the roster says of this process: starting, ready or stopping."""
        if self.closing():
            return "stopping"
        waiting = self._state == "ready" and not self._consuming()
        return "starting" if waiting else self._state

    def start(self) -> None:
        """Start the keeper thread; from now on the process is on the roster.

        This process may stand in for one that died: what that one held is taken back at once.
        """
        self._try(self._take_back)
        self._thread.start()

    def ready(self) -> None:
        """Say that the process takes work from now on, or as soon as tickets reach it."""
        self.memory.settle()
        self._state = "ready"
        self._try(self._report)

    def stop(self) -> None:
        """Hand back what is still held, leave the roster and stop the keeper."""
        self._state = "stopping"
        self._stop.set()
        self._look.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=2)
        self._try(self.claims.stop_waiting)
        self._try(lambda: self.claims.release_all(_STOPPED))
        self._try(lambda: self._roster.leave(self.id))
        self.client.close()

    def look(self) -> None:
        """Have the keeper look now at what it would see at its next turn."""
        self._look.set()

    @contextmanager
    def running(self, claim: Claim) -> Iterator[None]:
        """Run a claim's micro-batch, which may take as long as the settings say and no longer.

        After that nothing can be expected of this thread: the keeper says what happened and ends
        the process. What ran alone has failed; the items of a micro-batch are each tried alone.
        """
        now = time.monotonic()
        self._run = (claim, now)
        if self._deadline is not None:
            self._deadline.set(now + self.settings.run_time_limit_s)
        try:
            yield
        finally:
            self._run = None
            if self._deadline is not None:
                self._deadline.set(0.0)

    def finish(self, claim: Claim, outcomes: Mapping[Item, Outcome]) -> None:
        """Write the outcomes of a claim's items, or as much of them as it still holds.

        While the store cannot be reached this tries again for a minute; then the outcomes are lost
        and the items go to another worker, as they do in any case when this returns or raises and
        something of the claim is left.
        """
        refused = self._end(claim, lambda: self.claims.complete(claim, outcomes))
        if refused is None:
            return
        self.items += len(outcomes) - len(refused)
        for item in refused:
            _log.warning("late result refused", action="late_result", item=item, claim=claim.number)

    def hand_back(self, claim: Claim, reason: str, *, counts: bool) -> None:
        """Put the items of a claim back in their queue; `counts` says if this was an attempt.

        `reason` is a sentence. What cannot be handed back now goes back when the lease runs out.
        """
        self._end(claim, lambda: self.claims.release(claim, reason, counts=counts))

    def _end(self, claim: Claim, write: Callable[[], T]) -> T | None:
        deadline = time.monotonic() + _INSIST_S
        try:
            while True:
                try:
                    return write()
                except redis.RedisError as error:
                    if time.monotonic() > deadline:
                        _log.error(
                            "claim given up",
                            action="claim_given_up",
                            claim=claim.number,
                            error=str(error),
                        )
                        return None
                    time.sleep(_INSIST_AGAIN_S)
        finally:
            # Otherwise the keeper would renew what nobody works on any more, for ever.
            self.claims.abandon(claim)

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
        while not self._stop.is_set():
            self._look.wait(min(_TICK_S, *every.values()))
            self._look.clear()
            if self._stop.is_set():
                return
            self._try(self._watch)
            if self._stop.is_set():
                return
            self._try(self._report_changes)
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

    def _watch(self) -> None:
        """End the process where what it runs takes too long, or longer than it may still live."""
        now = time.monotonic()
        run, limit = self._run, self.settings.run_time_limit_s
        endless = self._watchdog.look()
        if endless is not None:
            self._end_endless(endless, run[0] if run else None)
        if run is not None and now - run[1] > limit:
            stuck = self._watchdog.stuck()
            if stuck is not None:
                self._try(partial(self.on_struck, stuck))
            self._end_run(
                run[0],
                limit,
                f"The image was still being run after {limit:g} s, the most that one may take.",
            )
        if not self.closing():
            return
        if self._closing_since is None:
            self._closing_since = now
        if self.claims.held and now - self._closing_since > self.settings.stop_grace_s:
            _log.warning("work handed back", action="handed_back", claims=self.claims.held)
            self._end_process()

    def _end_endless(self, run: GraphRun, claim: Claim | None) -> None:
        """End the process because of a graph that never ends."""
        _log.error(
            "graph never ends",
            action="graph_never_ends",
            model=run.version,
            loading=run.loading,
            seconds=run.limit_s,
        )
        self._try(partial(self.on_struck, run))
        if claim is not None and not run.loading:
            message = (
                f"The model did not come to an end with this image within {run.limit_s:.3g} s: "
                f"{run.version} may never end with it."
            )
            if run.waits:
                message = (
                    f"{run.version} needed more memory for this image than a run may take "
                    "(PERMAFROST_RUN_MEMORY_BYTES)."
                )
            self._end_run(
                claim, run.limit_s, message, code="out_of_memory" if run.waits else "timed_out"
            )
        self._end_process()

    def _end_run(
        self, claim: Claim, limit: float, message: str, *, code: str = "timed_out"
    ) -> None:
        items = [claimed.item for claimed in claim.items]
        _log.error(
            "run timed out",
            action="run_timed_out",
            claim=claim.number,
            items=[item.key for item in items],
            seconds=limit,
        )
        if len(items) == 1:
            failed = Outcome(error={"code": code, "message": message})
            self._try(lambda: self.claims.complete(claim, {items[0]: failed}))
        else:
            reason = f"its micro-batch was still being run after {limit:.3g} s."
            if code != "timed_out":
                reason = "its micro-batch needed more memory than a run may take."
            self._try(lambda: self.claims.release(claim, reason, counts=True))
        self._end_process()

    def _end_process(self) -> None:
        self.stop()
        os._exit(_ENDED_BY_ITSELF)

    def _take_back(self) -> None:
        self._roster.bury(self._is_dead)
        taken = self.claims.take_back(self._is_dead)
        if taken:
            _log.warning("claims of the dead taken back", action="taken_back", claims=taken)
            self.send_tickets(self.lanes)

    def _is_dead(self, worker_id: str) -> bool:
        return is_dead_relative(worker_id, self._mark)

    def _renew(self) -> None:
        for number in self.claims.renew():
            _log.warning("claim lost", action="claim_lost", claim=number)

    def _report_changes(self) -> None:
        if (self.state, list(self._graphs())) != self._reported:
            self._report()

    def _report(self) -> None:
        state, graphs = self.state, list(self._graphs())
        with contextlib.suppress(psutil.Error):
            self._roster.report(
                WorkerReport(
                    id=self.id,
                    pid=os.getpid(),
                    host=socket.gethostname(),
                    state=state,
                    queues=[lane.value for lane in self.lanes],
                    graphs=graphs,
                    memory_bytes=self.memory.used,
                    items=self.items,
                    started_ms=self._started_ms,
                    confinement=self._confinement,
                )
            )
            self._reported = (state, graphs)
