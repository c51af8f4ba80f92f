"""Whatever happens in whatever order, each image of a batch has one row, and the batch one end."""

from typing import Any

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

from tests.support.work import CLASSIFYING, MODEL, Work, filled
from worker.errors import ConflictError
from worker.jobs.batches import Batches, NewImage, Row
from worker.jobs.claims import Claim, Claims
from worker.jobs.keys import key
from worker.jobs.records import Item, Job, Kind, Lane, Origin, Outcome, Status
from worker.jobs.store import Submission
from worker.settings import Settings

PLACES = st.integers(0, 1_000_000)  # taken modulo what there is


class Interleavings(RuleBasedStateMachine):
    """Open batches that grow, are sealed, cancelled and retried while workers come and go."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        super().__init__()
        client.flushall()
        self.work = Work(client, settings)
        self.batches = Batches(client, settings)
        self.workers = [Claims(client, settings, f"worker-{n}") for n in range(3)]
        self.paths: dict[str, list[bytes]] = {}  # of each batch, in the order of their numbers
        self.taken: list[tuple[Claims, Claim, set[Item]]] = []
        self.ended: dict[str, tuple[Job, list[Row]]] = {}
        self.good: dict[tuple[str, int], Any] = {}  # results that workers were told are stored
        self.values = 0

    def _batch(self, place: int) -> str:
        return list(self.paths)[place % len(self.paths)]

    # -- what may happen --------------------------------------------------------------------

    @rule()
    def open_batch(self) -> None:
        if len(self.paths) < 3:
            submission = Submission(
                kind=Kind.BATCH,
                lane=Lane.BULK,
                model=MODEL,
                options={"top": 1},
                keep_upload_s=60,
                origin=Origin.OPEN,
            )
            self.paths[self.work.accept(submission)] = []

    @precondition(lambda self: self.paths)
    @rule(place=PLACES, count=st.integers(1, 4), again=st.booleans())
    def add(self, place: int, count: int, again: bool) -> None:
        job_id = self._batch(place)
        paths = self.paths[job_id]
        new = [b"%d.jpg" % (len(paths) + n) for n in range(count)]
        images = [NewImage(path=path, upload=b"bytes of " + path) for path in new]
        if again and paths:
            images.insert(0, NewImage(path=paths[0], upload=b"bytes"))
        try:
            added = self.batches.add(job_id, images)
        except ConflictError:
            job = self.work.get(job_id)
            assert job.status.ended or job.progress.sealed
        else:
            assert (added.added, added.already) == (count, int(again and bool(paths)))
            paths += new

    @precondition(lambda self: self.paths)
    @rule(place=PLACES)
    def seal(self, place: int) -> None:
        self.batches.seal(self._batch(place))

    @precondition(lambda self: self.paths)
    @rule(place=PLACES)
    def cancel(self, place: int) -> None:
        if self.values % 3 == 0:  # not too often, or nothing else happens
            self.work.store.cancel(self._batch(place))

    @precondition(lambda self: self.paths)
    @rule(place=PLACES)
    def retry(self, place: int) -> None:
        job_id = self._batch(place)
        failed = [row.number for row in self._rows(job_id) if row.error]
        before = self.work.get(job_id)
        try:
            queued, _ = self.batches.retry(job_id)
        except ConflictError:
            assert before.status is Status.CANCELLED
            return
        assert queued == len(failed)
        if queued:
            self.ended.pop(job_id, None)
            assert self.work.get(job_id).status in (Status.RUNNING, Status.QUEUED)

    @rule(worker=st.integers(0, 2), capacity=st.integers(1, 5))
    def claim(self, worker: int, capacity: int) -> None:
        claim = self.workers[worker].claim(CLASSIFYING, capacity)
        if claim is not None:
            for claimed in claim.items:
                path = self.paths[claimed.item.job_id][claimed.item.number - 1]
                assert (claimed.path, claimed.upload) == (path, b"bytes of " + path)
            items = {claimed.item for claimed in claim.items}
            self.taken.append((self.workers[worker], claim, items))

    @precondition(lambda self: self.taken)
    @rule(place=PLACES, count=st.integers(1, 5), bad=st.integers(0, 3), full=st.booleans())
    def complete(self, place: int, count: int, bad: int, full: bool) -> None:
        claims, claim, items = taken = self.taken[place % len(self.taken)]
        outcomes = {}
        for number, item in enumerate(sorted(items)[:count]):
            self.values += 1
            if number == bad:
                outcomes[item] = Outcome(error={"code": "bad", "message": "It is."})
            else:
                outcomes[item] = Outcome(result=[[f"label-{self.values}", 1.0]], label="l")
        holds = claims.holds(claim)
        open_ = {i for i in outcomes if not self.work.get(i.job_id).status.ended}
        if full:
            with filled(self.work.client):
                refused = claims.complete(claim, outcomes)
        else:
            refused = claims.complete(claim, outcomes)
        assert set(refused) == (set() if holds else {item.key for item in outcomes})
        for item, outcome in outcomes.items():
            items.discard(item)
            if outcome.result and item.key not in refused and item in open_:
                place_ = (item.job_id, item.number)
                assert place_ not in self.good, "two workers were told that theirs counts"
                self.good[place_] = outcome.result
        if not items:
            self.taken.remove(taken)

    @precondition(lambda self: self.taken)
    @rule(place=PLACES, counts=st.booleans())
    def hand_back(self, place: int, counts: bool) -> None:
        claims, claim, _ = self.taken.pop(place % len(self.taken))
        claims.release(claim, "handed back.", counts=counts)

    @precondition(lambda self: self.taken)
    @rule(place=PLACES)
    def die(self, place: int) -> None:
        claims, claim, _ = self.taken.pop(place % len(self.taken))
        claims.abandon(claim)

    @rule(full=st.booleans())
    def let_leases_run_out_and_sweep(self, full: bool) -> None:
        self.work.let_leases_run_out()
        if full:
            with filled(self.work.client):
                self.work.sweep()
        else:
            self.work.sweep()

    # -- what must hold ---------------------------------------------------------------------

    def _rows(self, job_id: str) -> list[Row]:
        return list(self.batches.rows(job_id, self.work.get(job_id).progress.total))

    @invariant()
    def the_counts_are_those_of_the_rows(self) -> None:
        for job_id, paths in self.paths.items():
            job, rows = self.work.get(job_id), self._rows(job_id)
            assert job.progress.total == len(paths)
            assert job.progress.succeeded == sum(row.error is None for row in rows)
            assert job.progress.failed == sum(row.error is not None for row in rows)
            for row in rows:
                assert row.path == paths[row.number - 1]
                assert self.good.get((job_id, row.number)) == row.result
            if job.status is Status.SUCCEEDED:
                assert job.progress.sealed
                assert len(rows) == len(paths)
                assert job.progress.succeeded > 0
            if job.status.ended:
                assert (job, rows) == self.ended.setdefault(job_id, (job, rows))

    @invariant()
    def what_was_good_stays(self) -> None:
        for (job_id, number), result in self.good.items():
            rows = {row.number: row.result for row in self._rows(job_id)}
            assert rows[number] == result

    def teardown(self) -> None:
        """Seal everything, let the workers work until nothing is left, and look at what remains."""
        self.taken.clear()
        for job_id in self.paths:
            self.batches.seal(job_id)
        for _ in range(30):
            self.work.let_leases_run_out()
            self.work.sweep()
            while claim := self.workers[0].claim(CLASSIFYING, 3):
                outcomes = {}
                for claimed in claim.items:
                    self.values += 1
                    outcomes[claimed.item] = Outcome(result=[[f"label-{self.values}", 1.0]])
                    place = (claimed.item.job_id, claimed.item.number)
                    self.good[place] = outcomes[claimed.item].result
                assert self.workers[0].complete(claim, outcomes) == []
            if not self.work.client.exists(key("leases")):
                break
        self.the_counts_are_those_of_the_rows()
        assert set(self.ended) == set(self.paths)
        for job_id, (job, rows) in self.ended.items():
            if job.status is not Status.CANCELLED:
                assert len(rows) == len(self.paths[job_id])
        names = self.work.key_names()
        assert not {
            n for n in names if n.startswith(("queue:", "lane:", "claim:", "leases", "open"))
        }
        lives = {
            name: self.work.client.ttl("permafrost:" + name)
            for name in names
            if name.split(":")[0] in ("upload", "items", "results", "failures", "known", "seen")
        }
        assert -1 not in lives.values(), lives

        for job_id in self.paths:
            self.work.let_expire(job_id)
        self.work.sweep()
        rest = {n for n in self.work.key_names() if not n.startswith(("ticket:", "upload:"))}
        assert rest <= {"claims", "expired", "totals", "swept", "sweeper"}


def test_no_interleaving_loses_an_image_or_classifies_it_twice(
    client: redis.Redis, settings: Settings
) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis gives it no types
        lambda: Interleavings(client, settings),
        settings=how(
            max_examples=20,
            # Making a failure shorter takes minutes: add Phase.shrink when there is one.
            phases=[Phase.generate],
            stateful_step_count=40,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
