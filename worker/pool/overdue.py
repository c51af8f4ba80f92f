"""What a process does where its own work takes too long: it writes why, and ends itself.

A thread that hangs cannot be stopped within a process. A claim of one item fails, because that item
is the cause; the items of a larger micro-batch are each tried alone.
"""

import time
from collections.abc import Callable

import structlog

from worker.jobs.records import Outcome
from worker.pool.claims import ProcessClaims, RunningClaim
from worker.pool.watchdog import GraphRun, Watchdog
from worker.settings import Settings

_log = structlog.get_logger(__name__)


class OverdueCheck:
    """Looks whether what this process runs takes too long.

    `end_process` ends it; `on_strike`, where set, is called before that with the run of the version
    that is to blame. `is_stopping` says whether the worker was asked to stop, `attempt` calls a
    function and logs what it raises.
    """

    def __init__(
        self,
        settings: Settings,
        claims: ProcessClaims,
        watchdog: Watchdog,
        *,
        is_stopping: Callable[[], bool],
        attempt: Callable[[Callable[[], object]], None],
        end_process: Callable[[], None],
    ) -> None:
        self._run_limit_s = settings.run_time_limit_s
        self._stop_grace_s = settings.stop_grace_s
        self._claims, self._watchdog, self._is_stopping = claims, watchdog, is_stopping
        self._attempt, self._end_process = attempt, end_process
        self.on_strike: Callable[[GraphRun], None] = lambda _: None
        self._stopping_since: float | None = None

    def look(self) -> None:
        """End the process where a graph, a micro-batch or the stop takes too long."""
        now = time.monotonic()
        running, limit = self._claims.running, self._run_limit_s
        endless = self._watchdog.look()
        if endless is not None:
            self._end_graph(endless, running)
        if running is not None and now - running.since > limit:
            stuck = self._watchdog.stuck()
            if stuck is not None:
                self._attempt(lambda: self.on_strike(stuck))
            self._end_claim(
                running,
                limit,
                f"The image was still being run after {limit:g} s, the most that one may take.",
            )
        if self._is_stopping():
            self._look_at_the_stop(now)

    def _look_at_the_stop(self, now: float) -> None:
        if self._stopping_since is None:
            self._stopping_since = now
        if self._claims.held and now - self._stopping_since > self._stop_grace_s:
            _log.warning("work handed back", action="handed_back", claims=self._claims.held)
            self._end_process()

    def _end_graph(self, run: GraphRun, running: RunningClaim | None) -> None:
        """End the process because of a graph that never ends."""
        _log.error(
            "graph never ends",
            action="graph_never_ends",
            model=run.version,
            loading=run.loading,
            seconds=run.limit_s,
        )
        self._attempt(lambda: self.on_strike(run))
        if running is not None and not run.loading:
            code, message = (
                "timed_out",
                (
                    f"The model did not come to an end with this image within {run.limit_s:.3g} s: "
                    f"{run.version} may never end with it."
                ),
            )
            if run.waits:
                code, message = (
                    "out_of_memory",
                    (
                        f"{run.version} needed more memory for this image than a run may take "
                        "(PERMAFROST_RUN_MEMORY_BYTES)."
                    ),
                )
            self._end_claim(running, run.limit_s, message, code=code)
        self._end_process()

    def _end_claim(
        self, running: RunningClaim, limit: float, message: str, *, code: str = "timed_out"
    ) -> None:
        """Write or hand back what is run, and end the process."""
        claim = running.claim
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
            self._attempt(lambda: self._claims.complete(claim, {items[0]: failed}))
        else:
            reason = f"its micro-batch was still being run after {limit:.3g} s."
            if code != "timed_out":
                reason = "its micro-batch needed more memory than a run may take."
            self._attempt(lambda: self._claims.release(claim, reason, counts=True))
        self._end_process()
