"""The claims of a worker process: the micro-batch that it runs, and how each claim ends."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import redis
import structlog

from worker.jobs.claims import Claim, Claims
from worker.jobs.records import Item, Outcome
from worker.pool.scoreboard import Slot
from worker.settings import Settings

_log = structlog.get_logger(__name__)
T = TypeVar("T")
_RETRY_FOR_S = 60.0  # for which the end of a claim is tried again while Redis cannot be reached
_RETRY_EVERY_S = 0.2


class RunningClaim(NamedTuple):
    """A claim whose micro-batch is being run, and since when (monotonic)."""

    claim: Claim
    since: float


class ProcessClaims(Claims):
    """Makes claims for one worker process and ends them, also across an outage of Redis.

    While a micro-batch runs, its deadline stands in `slot`, so that the main process can end this
    one.
    """

    def __init__(
        self, client: redis.Redis, settings: Settings, worker_id: str, slot: Slot | None
    ) -> None:
        super().__init__(client, settings, worker_id)
        self._slot = slot
        self._run_limit_s = settings.run_time_limit_s
        self.running: RunningClaim | None = None
        self.items_done = 0

    @contextmanager
    def run(self, claim: Claim) -> Iterator[None]:
        """Run a claim's micro-batch, which may take as long as the settings say and no longer.

        After that nothing can be expected of this thread: `worker.pool.overdue` ends the process.
        """
        now = time.monotonic()
        self.running = RunningClaim(claim, now)
        if self._slot is not None:
            self._slot.set_deadline(now + self._run_limit_s)
        try:
            yield
        finally:
            self.running = None
            if self._slot is not None:
                self._slot.set_deadline(0.0)

    def finish(self, claim: Claim, outcomes: Mapping[Item, Outcome]) -> None:
        """Write the outcomes of a claim's items, or as many of them as it still holds.

        While Redis cannot be reached this tries again for a minute; then the outcomes are lost.
        What is left of the claim when this returns or raises goes to another worker.
        """
        refused = self._end(claim, lambda: self.complete(claim, outcomes))
        if refused is None:
            return
        self.items_done += len(outcomes) - len(refused)
        for item in refused:
            _log.warning("late result refused", action="late_result", item=item, claim=claim.number)

    def hand_back(self, claim: Claim, reason: str, *, counts: bool) -> None:
        """Put the items of a claim back in their queue; `counts` says if this was an attempt.

        `reason` is a sentence. What cannot be handed back now goes back when the lease runs out.
        """
        self._end(claim, lambda: self.release(claim, reason, counts=counts))

    def _end(self, claim: Claim, write: Callable[[], T]) -> T | None:
        deadline = time.monotonic() + _RETRY_FOR_S
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
                    time.sleep(_RETRY_EVERY_S)
        finally:
            # Otherwise the keeper thread would renew for ever what nobody works on any more.
            self.abandon(claim)
