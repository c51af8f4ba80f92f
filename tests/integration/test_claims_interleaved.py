"""Whatever happens in whatever order, a job is never lost and never ends twice."""

from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase
from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.work import CLASSIFYING, OTHER_MODEL, Work, filled, freeze, prediction
from worker.jobs.claims import Claim, Claims
from worker.jobs.keys import key
from worker.jobs.records import Job, Kind, Lane, Outcome, Status
from worker.settings import Settings

LANES = st.sampled_from([*([CLASSIFYING] * 3), (Lane.FREEZING,)])
PLACES = st.integers(0, 1_000_000)  # taken modulo what there is


@dataclass
class Taken:
    """A claim that a worker believes to hold, be it right or wrong."""

    claims: Claims
    claim: Claim
    open: set[Any]


class Interleavings(RuleBasedStateMachine):
    """Three workers, submitters, a sweeper, and deaths, in any order."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        super().__init__()
        client.flushall()
        self.work = Work(client, settings)
        self.workers = [Claims(client, settings, f"worker-{n}") for n in range(3)]
        self.jobs: list[str] = []
        self.taken: list[Taken] = []
        self.ended: dict[str, Job] = {}  # as they were when they were first seen to have ended
        self.written: dict[str, Any] = {}  # job id -> the value that a worker was told is stored
        self.values = 0

    # -- what may happen --------------------------------------------------------------------

    @rule(
        which=st.sampled_from([prediction, freeze]),
        bulk=st.booleans(),
        other=st.booleans(),
        keep=st.sampled_from([0.0, 60.0]),
    )
    def accept(self, which: Any, bulk: bool, other: bool, keep: float) -> None:
        fields: dict[str, Any] = {"keep_upload_s": keep}
        if which is prediction:
            fields["lane"] = Lane.BULK if bulk else Lane.INTERACTIVE
            if other:
                fields["model"] = OTHER_MODEL
        self.jobs.append(self.work.accept(which(**fields)))

    @rule()
    def accept_on_a_full_redis(self) -> None:
        before = self.work.key_names()
        with filled(self.work.client), pytest.raises(redis.ResponseError):
            self.work.accept()
        assert self.work.key_names() == before

    @rule(worker=st.integers(0, 2), lanes=LANES, capacity=st.integers(1, 5))
    def claim(self, worker: int, lanes: tuple[Lane, ...], capacity: int) -> None:
        claim = self.workers[worker].claim(lanes, capacity)
        if claim is not None:
            items = {claimed.item for claimed in claim.items}
            self.taken.append(Taken(self.workers[worker], claim, items))

    @precondition(lambda self: self.taken)
    @rule(place=PLACES, count=st.integers(1, 5), good=st.booleans(), full=st.booleans())
    def complete(self, place: int, count: int, good: bool, full: bool) -> None:
        taken = self.taken[place % len(self.taken)]
        outcomes = {}
        for item in sorted(taken.open)[:count]:
            self.values += 1
            outcomes[item] = (
                Outcome(result=self.values)
                if good
                else Outcome(error={"code": "bad", "message": str(self.values)})
            )
        holds = taken.claims.holds(taken.claim)
        running = {i for i in outcomes if self.work.get(i.job_id).status is Status.RUNNING}
        if full:
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

    @precondition(lambda self: self.taken)
    @rule(place=PLACES, counts=st.booleans())
    def hand_back(self, place: int, counts: bool) -> None:
        taken = self.taken.pop(place % len(self.taken))
        taken.claims.release(taken.claim, "handed back.", counts=counts)

    @precondition(lambda self: self.taken)
    @rule(place=PLACES)
    def die(self, place: int) -> None:
        taken = self.taken.pop(place % len(self.taken))
        taken.claims.abandon(taken.claim)

    @rule(worker=st.integers(0, 2))
    def renew(self, worker: int) -> None:
        self.workers[worker].renew()

    @rule()
    def let_leases_run_out(self) -> None:
        self.work.let_leases_run_out()

    @rule(full=st.booleans())
    def sweep(self, full: bool) -> None:
        if full:
            with filled(self.work.client):
                self.work.sweep()
        else:
            self.work.sweep()

    @precondition(lambda self: self.jobs)
    @rule(place=PLACES)
    def cancel(self, place: int) -> None:
        self.work.store.cancel(self.jobs[place % len(self.jobs)])

    @precondition(lambda self: self.jobs)
    @rule(place=PLACES)
    def wait_too_long(self, place: int) -> None:
        job_id = self.jobs[place % len(self.jobs)]
        if job_id not in self.ended:
            self.work.let_wait(job_id, self.work.settings.queue_ttl_s)

    # -- what must hold ---------------------------------------------------------------------

    @invariant()
    def every_job_is_there_once_and_its_end_never_changes(self) -> None:
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

    def teardown(self) -> None:
        """Let the workers work until nothing is left, and look at what remains."""
        self.taken.clear()
        for _ in range(20):
            self.work.let_leases_run_out()
            self.work.sweep()
            while claim := self.workers[0].claim(list(Lane), 3):
                outcomes = {claimed.item: Outcome(result="drained") for claimed in claim.items}
                assert self.workers[0].complete(claim, outcomes) == []
            if not self.work.client.exists(key("leases")):
                break
        self.every_job_is_there_once_and_its_end_never_changes()
        assert set(self.ended) == set(self.jobs)
        for kind in Kind:
            for status in Status:
                listed = self.work.store.page(kind=kind, status=status, limit=1000).jobs
                assert {(job.kind, job.status) for job in listed} <= {(kind, status)}
        expected = {f"job:{job_id}" for job_id in self.jobs}
        expected |= {f"jobs:{job.kind}:{job.status}" for job in self.ended.values()}
        expected |= {"claims", "expiry", "totals", "swept", "sweeper"}
        rest = {
            name for name in self.work.key_names() if not name.startswith(("ticket:", "upload:"))
        }
        assert rest <= expected

        for job_id in self.jobs:
            self.work.let_expire(job_id)
        self.work.sweep()
        rest = {
            name for name in self.work.key_names() if not name.startswith(("ticket:", "upload:"))
        }
        assert rest <= {"claims", "expired", "totals", "swept", "sweeper"}
        for name in self.work.client.scan_iter("permafrost:upload:*"):
            assert self.work.client.ttl(name) > 0


def test_no_interleaving_loses_a_job_or_ends_it_twice(
    client: redis.Redis, settings: Settings
) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis gives it no types
        lambda: Interleavings(client, settings),
        settings=how(
            max_examples=25,
            # Making a failure shorter takes minutes: add Phase.shrink when there is one.
            phases=[Phase.generate],
            stateful_step_count=30,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
