"""Whatever happens in whatever order, a job is never lost and never ends twice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from tests.support.interleaving import Interleaving
from tests.support.work import CLASSIFYING, OTHER_MODEL, Work, filled, freeze, prediction
from worker.jobs.claims import Claim, Claims
from worker.jobs.keys import key
from worker.jobs.records import Item, Job, Kind, Lane, Outcome, Status
from worker.settings import Settings


@dataclass
class Taken:
    """A claim that a worker believes to hold, be it right or wrong."""

    claims: Claims
    claim: Claim
    open: set[Item]


class Jobs(Interleaving):
    """Three workers, submitters, a sweeper, and deaths, in any order."""

    def __init__(self, client: redis.Redis, settings: Settings, seed: int) -> None:
        super().__init__(seed)
        self.work = Work(client, settings)
        self.workers = [Claims(client, settings, f"worker-{n}") for n in range(3)]
        self.jobs: list[str] = []
        self.taken: list[Taken] = []
        self.ended: dict[str, Job] = {}  # as they were when they were first seen to have ended
        self.written: dict[str, Any] = {}  # job id -> the value that a worker was told is stored
        self.values = 0

    def actions(self) -> Mapping[Callable[[], object], int]:
        return {
            self.accept: 8,
            self.accept_on_a_full_redis: 1,
            self.claim: 10,
            self.complete: 10,
            self.hand_back: 2,
            self.die: 1,
            self.take_back: 1,
            self.stop: 1,
            self.renew: 2,
            self.let_leases_run_out: 2,
            self.sweep: 3,
            self.let_leases_run_out_and_sweep: 3,
            self.cancel: 1,
            self.wait_too_long: 1,
        }

    # -- what may happen --------------------------------------------------------------------

    def accept(self) -> None:
        fields: dict[str, Any] = {"keep_upload_s": self.any([0.0, 60.0])}
        if self.perhaps(0.2):
            self.jobs.append(self.work.accept(freeze(**fields)))
            return
        if self.perhaps():
            fields["model"] = OTHER_MODEL
        lane = self.any(CLASSIFYING)
        self.jobs.append(self.work.accept(prediction(lane=lane, **fields)))

    def accept_on_a_full_redis(self) -> None:
        before = self.work.key_names()
        with filled(self.work.client), pytest.raises(redis.ResponseError):
            self.work.accept()
        assert self.work.key_names() == before

    def claim(self) -> None:
        worker = self.any(self.workers)
        lanes = self.any([CLASSIFYING, CLASSIFYING, (Lane.FREEZING,)])
        leave = self.any([(), (), ("cats-dogs@1",), ("birds@7",)])
        claim = worker.claim(lanes, self.random.randint(1, 5), leave=leave)
        assert claim is None or claim.version not in leave
        if claim is not None:
            self.taken.append(Taken(worker, claim, {claimed.item for claimed in claim.items}))

    def complete(self) -> None:
        if not self.taken:
            return
        taken = self.any(self.taken)
        outcomes = {}
        for item in sorted(taken.open)[: self.random.randint(1, 5)]:
            self.values += 1
            outcomes[item] = (
                Outcome(result=self.values)
                if self.perhaps(0.7)
                else Outcome(error={"code": "bad", "message": str(self.values)})
            )
        holds = taken.claims.holds(taken.claim)
        running = {i for i in outcomes if self.work.get(i.job_id).status is Status.RUNNING}
        if self.perhaps(0.2):
            with filled(self.work.client):
                refused = taken.claims.complete(taken.claim, outcomes)
        else:
            refused = taken.claims.complete(taken.claim, outcomes)
        assert set(refused) == (set() if holds else {item.key for item in outcomes})
        for item, outcome in outcomes.items():
            taken.open.discard(item)
            if item.key not in refused and item in running:
                assert item.job_id not in self.written, "two workers were told that theirs counts"
                self.written[item.job_id] = outcome.result or outcome.error
        if not taken.open:
            self.taken.remove(taken)

    def hand_back(self) -> None:
        if not self.taken:
            return
        taken = self.taken.pop(self.random.randrange(len(self.taken)))
        taken.claims.release(taken.claim, "handed back.", counts=self.perhaps())

    def die(self) -> None:
        if not self.taken:
            return
        taken = self.taken.pop(self.random.randrange(len(self.taken)))
        taken.claims.abandon(taken.claim)

    def take_back(self) -> None:
        """A worker is taken for dead, perhaps wrongly."""
        lost = self.random.randrange(len(self.workers))
        self.any(self.workers).take_back(lambda worker: worker == f"worker-{lost}")

    def stop(self) -> None:
        self.any(self.workers).release_all("stopped.")

    def renew(self) -> None:
        self.any(self.workers).renew()

    def let_leases_run_out(self) -> None:
        self.work.let_leases_run_out()

    def let_leases_run_out_and_sweep(self) -> None:
        self.work.let_leases_run_out()
        self.work.sweep()

    def sweep(self) -> None:
        if self.perhaps(0.2):
            with filled(self.work.client):
                self.work.sweep()
        else:
            self.work.sweep()

    def cancel(self) -> None:
        if self.jobs:
            self.work.store.cancel(self.any(self.jobs))

    def wait_too_long(self) -> None:
        alive = [job_id for job_id in self.jobs if job_id not in self.ended]
        if alive:
            self.work.let_wait(self.any(alive), self.work.settings.queue_ttl_s)

    # -- what must hold ---------------------------------------------------------------------

    def check(self) -> None:
        listed = self.work.store.page(limit=1000).jobs
        assert [job.id for job in listed] == sorted(self.jobs, reverse=True)
        for job in listed:
            assert job == self.ended.get(job.id, job)
            done = job.progress.succeeded + job.progress.failed
            if job.status.ended:
                self.ended[job.id] = job
                assert done == (job.status is not Status.CANCELLED)
            else:
                assert done == 0
                assert (job.result, job.error) == (None, None)
            if job.id in self.written:
                assert self.written[job.id] in (job.result, job.error)

    def drain(self) -> None:
        """Let a worker do all that is left once the others are dead."""
        self.taken.clear()
        for _ in range(20):
            self.work.let_leases_run_out()
            self.work.sweep()
            while claim := self.workers[0].claim(list(Lane), 3):
                outcomes = {claimed.item: Outcome(result="drained") for claimed in claim.items}
                assert self.workers[0].complete(claim, outcomes) == []
            if not self.work.client.exists(key("leases")):
                return


@pytest.mark.parametrize("seed", range(4))
def test_no_interleaving_loses_a_job_or_ends_it_twice(
    client: redis.Redis, settings: Settings, seed: int
) -> None:
    # Nothing is refused for what else has waited.
    settings = settings.model_copy(update={"max_queue_age_s": 0.0, "max_freezing_queue_age_s": 0.0})
    jobs = Jobs(client, settings, seed)
    jobs.run(250)

    jobs.drain()
    jobs.check()
    assert set(jobs.ended) == set(jobs.jobs)
    for kind in Kind:
        for status in Status:
            listed = jobs.work.store.page(kind=kind, status=status, limit=1000).jobs
            assert {(job.kind, job.status) for job in listed} <= {(kind, status)}
    indexes = {f"jobs:{job.kind}:{job.status}" for job in jobs.ended.values()}
    assert jobs.work.lasting_keys() == {"claims", "expiry", "totals", "swept"} | indexes

    for job_id in jobs.jobs:
        jobs.work.let_expire(job_id)
    jobs.work.sweep()
    assert jobs.work.lasting_keys() == {"claims", "expired", "totals", "swept"}
