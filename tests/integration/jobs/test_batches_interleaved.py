"""Whatever happens in whatever order, each image of a batch has one row, and the batch one end."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import redis

from tests.support.interleaving import Interleaving
from tests.support.work import CLASSIFYING, MODEL, Work, filled
from worker.errors import ConflictError
from worker.jobs.batches import Batches, NewImage, ResultRow
from worker.jobs.claims import Claim, Claims
from worker.jobs.keys import key
from worker.jobs.records import Item, Job, Kind, Lane, Origin, Outcome, Status
from worker.jobs.submissions import Submission
from worker.settings import Settings


class OpenBatches(Interleaving):
    """Open batches that grow, are sealed, cancelled and retried while workers come and go."""

    def __init__(self, client: redis.Redis, settings: Settings, seed: int) -> None:
        super().__init__(seed)
        self.work = Work(client, settings)
        self.batches = Batches(client, settings)
        self.workers = [Claims(client, settings, f"worker-{n}") for n in range(3)]
        self.paths: dict[str, list[bytes]] = {}  # of each batch, in the order of their numbers
        self.taken: list[tuple[Claims, Claim, set[Item]]] = []
        self.ended: dict[str, tuple[Job, list[ResultRow]]] = {}
        self.good: dict[tuple[str, int], Any] = {}  # results that workers were told are stored
        self.values = 0

    def actions(self) -> Mapping[Callable[[], object], int]:
        return {
            self.open_batch: 2,
            self.add: 10,
            self.seal: 1,
            self.cancel: 1,
            self.retry: 3,
            self.claim: 12,
            self.complete: 12,
            self.hand_back: 2,
            self.die: 1,
            self.let_leases_run_out_and_sweep: 3,
        }

    # -- what may happen --------------------------------------------------------------------

    def open_batch(self) -> None:
        submission = Submission(
            kind=Kind.BATCH,
            lane=Lane.BULK,
            model=MODEL,
            options={"top": 1},
            keep_upload_s=60,
            origin=Origin.OPEN,
        )
        self.paths[self.work.accept(submission)] = []

    def add(self) -> None:
        if not self.paths:
            return
        job_id, again = self.any(list(self.paths)), self.perhaps()
        paths = self.paths[job_id]
        new = [b"%d.jpg" % (len(paths) + n) for n in range(self.random.randint(1, 4))]
        images = [NewImage(path=path, upload=b"bytes of " + path) for path in new]
        if again and paths:
            images.insert(0, NewImage(path=paths[0], upload=b"bytes"))
        try:
            added = self.batches.add(job_id, images)
        except ConflictError:
            job = self.work.get(job_id)
            assert job.status.ended or job.progress.sealed
            return
        assert (added.added, added.already) == (len(new), int(again and bool(paths)))
        paths += new

    def seal(self) -> None:
        if self.paths:
            self.batches.seal(self.any(list(self.paths)))

    def cancel(self) -> None:
        if self.paths and self.perhaps():
            self.work.store.cancel(self.any(list(self.paths)))

    def retry(self) -> None:
        if not self.paths:
            return
        job_id = self.any(list(self.paths))
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
            assert not self.work.get(job_id).status.ended

    def claim(self) -> None:
        worker = self.any(self.workers)
        claim = worker.claim(CLASSIFYING, self.random.randint(1, 5))
        if claim is not None:
            for claimed in claim.items:
                path = self.paths[claimed.item.job_id][claimed.item.number - 1]
                assert (claimed.path, claimed.upload) == (path, b"bytes of " + path)
            items = {claimed.item for claimed in claim.items}
            self.taken.append((worker, claim, items))

    def complete(self) -> None:
        if not self.taken:
            return
        claims, claim, items = taken = self.any(self.taken)
        outcomes = {}
        for item in sorted(items)[: self.random.randint(1, 5)]:
            self.values += 1
            if self.perhaps(0.3):
                outcomes[item] = Outcome(error={"code": "bad", "message": "It is."})
            else:
                outcomes[item] = Outcome(result=[[f"label-{self.values}", 1.0]], label="l")
        holds = claims.holds(claim)
        open_ = {i for i in outcomes if not self.work.get(i.job_id).status.ended}
        if self.perhaps(0.2):
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

    def hand_back(self) -> None:
        if not self.taken:
            return
        claims, claim, _ = self.taken.pop(self.random.randrange(len(self.taken)))
        claims.release(claim, "handed back.", counts=self.perhaps())

    def die(self) -> None:
        if not self.taken:
            return
        claims, claim, _ = self.taken.pop(self.random.randrange(len(self.taken)))
        claims.abandon(claim)

    def let_leases_run_out_and_sweep(self) -> None:
        self.work.let_leases_run_out()
        if self.perhaps(0.2):
            with filled(self.work.client):
                self.work.sweep()
        else:
            self.work.sweep()

    # -- what must hold ---------------------------------------------------------------------

    def _rows(self, job_id: str) -> list[ResultRow]:
        return list(self.batches.rows(job_id, self.work.get(job_id).progress.total))

    def check(self) -> None:
        for job_id, paths in self.paths.items():
            job, rows = self.work.get(job_id), self._rows(job_id)
            assert job.progress.total == len(paths)
            assert job.progress.succeeded == sum(row.error is None for row in rows)
            assert job.progress.failed == sum(row.error is not None for row in rows)
            for row in rows:
                assert row.path == paths[row.number - 1]
                assert self.good.get((job_id, row.number)) == row.result
            there = {(job_id, row.number) for row in rows}
            assert {place for place in self.good if place[0] == job_id} <= there
            if job.status is Status.SUCCEEDED:
                assert job.progress.sealed
                assert len(rows) == len(paths)
                assert job.progress.succeeded > 0
            if job.status.ended:
                assert (job, rows) == self.ended.setdefault(job_id, (job, rows))

    def drain(self) -> None:
        """Seal everything and let a worker do all that is left once the others are dead."""
        self.taken.clear()
        for job_id in self.paths:
            self.batches.seal(job_id)
        for _ in range(30):
            self.work.let_leases_run_out()
            self.work.sweep()
            while claim := self.workers[0].claim(CLASSIFYING, 3):
                outcomes = {}
                for claimed in claim.items:
                    result = [["drained", 1.0]]
                    outcomes[claimed.item] = Outcome(result=result)
                    self.good[claimed.item.job_id, claimed.item.number] = result
                assert self.workers[0].complete(claim, outcomes) == []
            if not self.work.client.exists(key("leases")):
                return


@pytest.mark.parametrize("seed", range(4))
def test_no_interleaving_loses_an_image_or_classifies_it_twice(
    client: redis.Redis, settings: Settings, seed: int
) -> None:
    batches = OpenBatches(client, settings, seed)
    batches.run(200)

    batches.drain()
    batches.check()
    assert set(batches.ended) == set(batches.paths)
    for job_id, (job, rows) in batches.ended.items():
        if job.status is not Status.CANCELLED:
            assert len(rows) == len(batches.paths[job_id])
    indexes = {f"jobs:batch:{job.status}" for job, _ in batches.ended.values()}
    assert batches.work.lasting_keys() == {"claims", "expiry", "totals", "swept"} | indexes

    for job_id in batches.paths:
        batches.work.let_expire(job_id)
    batches.work.sweep()
    assert batches.work.lasting_keys() == {"claims", "expired", "totals", "swept"}
