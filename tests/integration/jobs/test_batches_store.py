"""Batches in a real Redis: nothing is lost, nothing is counted twice, whoever dies or repeats."""

from collections.abc import Sequence
from typing import Any

import pytest
import redis

from worker.errors import ConflictError, OverloadedError
from worker.jobs import batches
from worker.jobs.batches import Batches, ClaimLostError, NewImage, ResultRow
from worker.jobs.claims import Claim, Claims
from worker.jobs.keys import key
from worker.jobs.records import Job, Kind, Lane, Origin, Outcome, PinnedModel, Status
from worker.jobs.store import JobStore
from worker.jobs.submissions import Submission
from worker.jobs.sweeper import Sweeper
from worker.settings import Settings

MODEL = PinnedModel(name="tiny", version=1, sha256="0" * 64)
LANES = (Lane.INTERACTIVE, Lane.BULK)


class Kitchen:
    """Everything that submits, works and sweeps, on one Redis."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self.client = client
        self.settings = settings
        self.store = JobStore(client, settings)
        self.batches = Batches(client, settings)
        self.sweeper = Sweeper(client, settings, "sweeper", lambda _: None)
        self.worker = Claims(client, settings, "worker-1")

    def accept(self, origin: Origin = Origin.OPEN, **options: object) -> str:
        submission = Submission(
            kind=Kind.BATCH,
            lane=Lane.BULK,
            model=MODEL,
            options={"top": 5, **options},
            keep_upload_s=3600,
            origin=origin,
        )
        return self.store.accept(submission).job_id

    def batch(self, count: int, *, seal: bool = True) -> str:
        job_id = self.accept()
        self.batches.add(job_id, images(count))
        if seal:
            self.batches.seal(job_id)
        return job_id

    def claim(self, capacity: int = 16) -> Claim | None:
        return self.worker.claim(LANES, capacity)

    def work(self, *, failing: Sequence[int] = (), most: int = 1_000_000) -> list[str]:
        """Do what waits and return the items in the order in which they came."""
        done: list[str] = []
        while len(done) < most and (claim := self.claim()):
            self.finish(claim, failing=failing)
            done += [claimed.item.key for claimed in claim.items]
        return done

    def finish(self, claim: Claim, *, failing: Sequence[int] = ()) -> list[str]:
        error = Outcome(error={"code": "unreadable", "message": "Damaged."})
        good = Outcome(result=[["cat", 0.9], ["dog", 0.1]], label="cat")
        return self.worker.complete(
            claim,
            {c.item: error if c.item.number in failing else good for c in claim.items},
        )

    def sweep_later(self, *, leases_ran_out: bool = False) -> None:
        """Sweep as if the interval, and if asked for the leases, were over."""
        if leases_ran_out:
            for claim in self.client.zrange(key("leases"), 0, -1):
                self.client.zadd(key("leases"), {claim: 1})
        self.client.delete(key("sweeper"))
        assert self.sweeper.sweep() is not None

    def job(self, job_id: str) -> Job:
        return self.store.get(job_id)

    def rows(self, job_id: str, wanted: str | None = None) -> list[ResultRow]:
        return list(self.batches.rows(job_id, self.job(job_id).progress.total, wanted=wanted))

    def uploads(self) -> int:
        return len(list(self.client.scan_iter(key("upload", "*", "*"))))


@pytest.fixture
def kitchen(client: redis.Redis, settings: Settings) -> Kitchen:
    return Kitchen(client, settings)


def images(count: int, start: int = 0) -> list[NewImage]:
    return [NewImage(path=b"%d.jpg" % n, upload=b"bytes") for n in range(start, start + count)]


def test_a_batch_runs_from_its_first_image_to_its_last(kitchen: Kitchen) -> None:
    job_id = kitchen.accept()
    assert kitchen.job(job_id).status is Status.QUEUED
    kitchen.batches.add(job_id, images(40))
    kitchen.work(failing=[3])
    job = kitchen.job(job_id)
    assert (job.status, job.progress.done, job.progress.sealed) == (Status.RUNNING, 40, False)
    kitchen.batches.seal(job_id)
    job = kitchen.job(job_id)
    assert job.status is Status.SUCCEEDED
    assert (job.progress.total, job.progress.succeeded, job.progress.failed) == (40, 39, 1)
    assert kitchen.batches.labels(job_id) == {"cat": 39}
    assert [row.path for row in kitchen.rows(job_id)] == [b"%d.jpg" % n for n in range(40)]
    assert [row.number for row in kitchen.rows(job_id, "failed")] == [3]


def test_the_order_of_rows_does_not_depend_on_who_is_faster(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(40)
    claims = []
    while claim := kitchen.claim():
        claims.append(claim)
    assert len(claims) > 2
    for claim in (*claims[2:], *claims[:2]):
        kitchen.finish(claim)
    assert [row.number for row in kitchen.rows(job_id)] == list(range(1, 41))


def test_rows_with_all_of_many_classes_are_read_few_at_a_time(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_PAGE_BYTES", 10_000)
    job_id = kitchen.accept()
    kitchen.batches.add(job_id, [NewImage(path=b"%d.jpg" % n, upload=b"x") for n in range(70)])
    kitchen.batches.seal(job_id)
    long = Outcome(result=[[f"class {n}", 0.001] for n in range(200)], label="class 0")
    while claim := kitchen.claim(64):
        kitchen.worker.complete(claim, {claimed.item: long for claimed in claim.items})
    asked = []
    kept = kitchen.client.pipeline

    def pipeline(**options: Any) -> Any:
        asked.append(options)
        return kept(**options)

    monkeypatch.setattr(kitchen.batches._client, "pipeline", pipeline)
    rows = list(kitchen.batches.rows(job_id, 70))
    assert [row.number for row in rows] == list(range(1, 71))
    assert all(len(row.result or []) == 200 for row in rows)
    assert len(asked) > 10


def test_images_can_be_added_again_without_being_there_twice(kitchen: Kitchen) -> None:
    job_id = kitchen.accept()
    skipped = NewImage(path=b"notes.txt", skipped=True)
    assert kitchen.batches.add(job_id, [*images(10), skipped]).added == 10
    added = kitchen.batches.add(job_id, [*images(15), skipped])
    assert (added.added, added.already) == (5, 10)
    progress = kitchen.job(job_id).progress
    assert (progress.total, progress.skipped) == (15, 1)


def test_a_call_whose_answer_was_lost_adds_nothing_the_second_time(kitchen: Kitchen) -> None:
    alone = kitchen.accept(Origin.REQUEST)
    for _ in range(2):
        assert kitchen.batches.add_all(alone, images(3), before=0).added == 3
    kitchen.batches.add_all(alone, images(2), before=3)
    assert kitchen.job(alone).progress.total == 5
    with pytest.raises(ConflictError):
        kitchen.batches.add_all(alone, images(2), before=0)

    folder = kitchen.accept(Origin.FOLDER, folder=".")
    claim = kitchen.claim()
    while claim and claim.items[0].item.job_id != folder:
        kitchen.finish(claim)
        claim = kitchen.claim()
    assert claim
    for _ in range(2):
        kitchen.batches.add_listed(folder, images(7), claim=claim.number, before=0, skipped=2)
    progress = kitchen.job(folder).progress
    assert (progress.total, progress.skipped) == (7, 2)


def test_names_that_come_twice_in_one_request_are_told_apart(kitchen: Kitchen) -> None:
    job_id = kitchen.accept(Origin.REQUEST)
    same = [NewImage(path=path, upload=b"x") for path in [b"a.jpg"] * 3 + [b"d.x/a"] * 2]
    kitchen.batches.add_all(job_id, same, before=0)
    found = list(kitchen.batches.paths(job_id, 5))
    assert found == [b"a.jpg", b"a (2).jpg", b"a (3).jpg", b"d.x/a", b"d.x/a (2)"]


def test_a_sealed_or_ended_batch_takes_no_more(kitchen: Kitchen) -> None:
    sealed = kitchen.batch(1)
    cancelled = kitchen.accept()
    kitchen.store.cancel(cancelled)
    for job_id in (sealed, cancelled):
        with pytest.raises(ConflictError, match="takes no more images"):
            kitchen.batches.add(job_id, images(1, 9))


def test_what_cannot_be_accepted_is_a_row_and_is_not_tried_again(kitchen: Kitchen) -> None:
    job_id = kitchen.accept()
    error = {"code": "file_too_large", "message": "Too large."}
    kitchen.batches.add(job_id, [NewImage(path=b"a.jpg", error=error), *images(1)])
    kitchen.batches.seal(job_id)
    kitchen.work()
    assert [row.error for row in kitchen.rows(job_id)] == [error, None]
    assert kitchen.batches.retry(job_id)[0] == 0
    assert kitchen.job(job_id).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("skipped", "words"), [(0, "no image in it."), (1, "1 other file was"), (5, "5 other files")]
)
def test_a_batch_without_images_has_failed_and_says_so(
    kitchen: Kitchen, skipped: int, words: str
) -> None:
    job_id = kitchen.accept()
    others = [NewImage(path=b"%d.txt" % n, skipped=True) for n in range(skipped)]
    kitchen.batches.add(job_id, others)
    kitchen.batches.seal(job_id)
    job = kitchen.job(job_id)
    assert job.status is Status.FAILED
    assert job.error
    assert job.error["code"] == "no_images"
    assert words in job.error["message"]


def test_a_batch_of_which_nothing_could_be_classified_has_failed(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(3)
    kitchen.work(failing=[1, 2, 3])
    job = kitchen.job(job_id)
    assert job.status is Status.FAILED
    assert job.error
    assert job.error["code"] == "all_failed"
    assert len(kitchen.rows(job_id)) == 3


def test_batches_of_one_model_take_turns(kitchen: Kitchen) -> None:
    large = kitchen.batch(200)
    kitchen.work(most=32)
    small = kitchen.batch(16)
    done = kitchen.work(most=48)
    assert sum(item.startswith(small) for item in done) == 16
    assert kitchen.job(small).status is Status.SUCCEEDED
    assert kitchen.job(large).status is Status.RUNNING


def test_interactive_work_comes_first(kitchen: Kitchen) -> None:
    kitchen.batch(40)
    prediction = Submission(
        kind=Kind.PREDICTION, lane=Lane.INTERACTIVE, model=MODEL, upload=b"image"
    )
    accepted = kitchen.store.accept(prediction)
    claim = kitchen.claim()
    assert claim
    assert [claimed.item.job_id for claimed in claim.items] == [accepted.job_id]


def test_cancelling_keeps_what_is_done_and_deletes_what_waits(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(100)
    kitchen.work(most=16)
    claim = kitchen.claim()
    assert claim
    kitchen.store.cancel(job_id)
    kitchen.finish(claim)
    job = kitchen.job(job_id)
    assert (job.status, job.progress.done) == (Status.CANCELLED, 16)
    assert len(kitchen.rows(job_id)) == 16
    assert kitchen.claim() is None
    assert kitchen.uploads() == 0


def test_the_upload_of_a_cancelled_image_goes_when_its_worker_dies(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(1)
    assert kitchen.claim()
    kitchen.store.cancel(job_id)
    kitchen.sweep_later(leases_ran_out=True)
    assert kitchen.uploads() == 0


def test_a_dead_workers_images_are_done_by_another_exactly_once(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(20)
    lost = kitchen.claim()
    assert lost
    kitchen.sweep_later(leases_ran_out=True)
    kitchen.work()
    assert len(kitchen.finish(lost)) == len(lost.items)
    job = kitchen.job(job_id)
    assert (job.status, job.progress.succeeded) == (Status.SUCCEEDED, 20)
    assert kitchen.batches.labels(job_id) == {"cat": 20}


def test_an_image_that_kills_its_workers_is_given_up_and_the_others_are_done(
    kitchen: Kitchen,
) -> None:
    job_id = kitchen.batch(20)
    for _ in range(3):
        claim = kitchen.claim()
        assert claim
        assert claim.items[0].item.number == 1
        kitchen.sweep_later(leases_ran_out=True)
    kitchen.work()
    assert [(row.number, row.error["code"]) for row in kitchen.rows(job_id) if row.error] == [
        (1, "poisoned")
    ]
    assert kitchen.job(job_id).status is Status.SUCCEEDED


def test_a_retry_queues_the_failures_only(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(30)
    kitchen.work(failing=[2, 5])
    assert kitchen.batches.retry(job_id)[0] == 2
    job = kitchen.job(job_id)
    assert (job.status, job.progress.done, job.finished_ms) == (Status.RUNNING, 28, None)
    claim = kitchen.claim()
    assert claim
    assert sorted(claimed.item.number for claimed in claim.items) == [2, 5]
    assert {claimed.upload for claimed in claim.items} == {b"bytes"}
    kitchen.finish(claim)
    job = kitchen.job(job_id)
    assert (job.status, job.progress.succeeded, job.progress.failed) == (Status.SUCCEEDED, 30, 0)
    assert kitchen.client.ttl(key("results", job_id)) > 0
    assert kitchen.batches.retry(job_id)[0] == 0


def test_the_upload_of_a_failure_is_kept_for_a_while_and_no_other(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(5)
    kitchen.work(failing=[2])
    assert kitchen.uploads() == 1
    left = kitchen.client.ttl(key("upload", job_id, 2))
    assert 0 < left <= 3600 < kitchen.client.ttl(key("results", job_id))
    kitchen.client.delete(key("upload", job_id, 2))
    kitchen.batches.retry(job_id)
    claim = kitchen.claim()
    assert claim
    assert claim.items[0].upload == b""


def test_a_cancelled_batch_cannot_be_tried_again(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(30)
    kitchen.work(failing=[1], most=16)
    kitchen.store.cancel(job_id)
    with pytest.raises(ConflictError, match="was cancelled"):
        kitchen.batches.retry(job_id)
    assert kitchen.job(job_id).status is Status.CANCELLED


def test_a_listing_is_resumed_by_another_worker_and_the_first_adds_nothing(
    kitchen: Kitchen,
) -> None:
    job_id = kitchen.accept(Origin.FOLDER, folder=".")
    first = kitchen.claim()
    assert first
    assert first.items[0].is_listing
    kitchen.batches.add_listed(job_id, images(3), claim=first.number, before=0, skipped=1)
    kitchen.sweep_later(leases_ran_out=True)
    second = kitchen.claim()
    assert second
    assert [claimed.is_listing for claimed in second.items] == [True]
    assert kitchen.batches.last(job_id) == (3, b"2.jpg")
    with pytest.raises(ClaimLostError):
        kitchen.batches.add_listed(job_id, images(2, 3), claim=first.number, before=3, skipped=0)
    kitchen.batches.add_listed(job_id, images(2, 3), claim=second.number, before=3, skipped=0)
    kitchen.worker.complete(second, {second.items[0].item: Outcome(result=4)})
    kitchen.work()
    job = kitchen.job(job_id)
    assert (job.status, job.progress.total, job.progress.skipped) == (Status.SUCCEEDED, 5, 5)


def test_a_listing_that_gets_on_is_not_taken_for_poison(kitchen: Kitchen) -> None:
    job_id = kitchen.accept(Origin.FOLDER, folder=".")
    for turn in range(6):
        claim = next_listing(kitchen)
        kitchen.batches.add_listed(
            job_id, images(1, turn), claim=claim.number, before=turn, skipped=0
        )
        kitchen.sweep_later(leases_ran_out=True)
    assert kitchen.job(job_id).status is Status.RUNNING


def next_listing(kitchen: Kitchen) -> Claim:
    while (claim := kitchen.claim()) and not claim.items[0].is_listing:
        kitchen.finish(claim)
    assert claim
    return claim


def test_a_listing_that_never_gets_on_fails_the_batch(kitchen: Kitchen) -> None:
    job_id = kitchen.accept(Origin.FOLDER, folder=".")
    for _ in range(3):
        assert kitchen.claim()
        kitchen.sweep_later(leases_ran_out=True)
    job = kitchen.job(job_id)
    assert job.status is Status.FAILED
    assert job.error
    assert job.error["code"] == "poisoned"
    with pytest.raises(ConflictError):
        kitchen.batches.retry(job_id)


def test_cancelling_a_folder_empties_its_queue_at_once(kitchen: Kitchen) -> None:
    job_id = kitchen.accept(Origin.FOLDER, folder=".")
    claim = kitchen.claim()
    assert claim
    kitchen.batches.add_listed(job_id, images(50), claim=claim.number, before=0, skipped=0)
    kitchen.store.cancel(job_id)
    assert not list(kitchen.client.scan_iter(key("queue", "*", "*")))
    with pytest.raises(ConflictError):
        kitchen.batches.add_listed(job_id, images(1), claim=claim.number, before=50, skipped=0)


def test_an_open_batch_that_is_left_is_sealed(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(3, seal=False)
    kitchen.work()
    kitchen.sweep_later()
    assert kitchen.job(job_id).status is Status.RUNNING
    kitchen.client.zadd(key("open"), {job_id: 1})
    kitchen.sweep_later()
    job = kitchen.job(job_id)
    assert (job.status, job.progress.sealed) == (Status.SUCCEEDED, True)


def test_a_batch_whose_request_fell_silent_is_given_up(kitchen: Kitchen) -> None:
    job_id = kitchen.accept(Origin.REQUEST)
    kitchen.batches.add_all(job_id, images(3), before=0)
    kitchen.client.zadd(key("open"), {job_id: 1})
    kitchen.sweep_later()
    job = kitchen.job(job_id)
    assert job.status is Status.FAILED
    assert job.error
    assert job.error["code"] == "upload_broken"
    assert kitchen.claim() is None
    assert kitchen.uploads() == 0


def test_the_key_of_a_broken_request_can_be_used_again(kitchen: Kitchen) -> None:
    submission = Submission(
        kind=Kind.BATCH,
        lane=Lane.BULK,
        model=MODEL,
        origin=Origin.REQUEST,
        idempotency_digest="d" * 64,
        fingerprint="f",
    )
    first = kitchen.store.accept(submission)
    assert kitchen.store.accept(submission).job_id == first.job_id
    kitchen.batches.break_off(first.job_id)
    second = kitchen.store.accept(submission)
    assert second.created
    assert second.job_id != first.job_id


def test_results_found_for_the_same_bytes_are_known(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(3)
    claim = kitchen.claim(1)
    assert claim
    good = Outcome(result=[["cat", 0.9]], label="cat", digest=b"\x01" * 16)
    kitchen.worker.complete(claim, {claim.items[0].item: good})
    assert kitchen.batches.seen(job_id, [b"\x02" * 16, b"\x01" * 16]) == [None, [["cat", 0.9]]]
    kitchen.work()
    assert kitchen.client.exists(key("seen", job_id)) == 0


def test_too_many_waiting_images_are_refused(client: redis.Redis, settings: Settings) -> None:
    kitchen = Kitchen(client, settings.model_copy(update={"max_batch_queue": 10}))
    job_id = kitchen.batch(10, seal=False)
    with pytest.raises(OverloadedError):
        kitchen.batches.add(job_id, images(1, 10))
    kitchen.work()
    assert kitchen.batches.add(job_id, images(1, 10)).added == 1


def test_an_expired_batch_leaves_nothing_behind(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(20)
    kitchen.work(failing=[4])
    kitchen.client.delete(key("upload", job_id, 4))
    kitchen.client.zadd(key("expiry"), {job_id: 1})
    kitchen.sweep_later()
    assert [raw.decode() for raw in kitchen.client.scan_iter(f"*{job_id}*")] == []


def test_the_rate_counts_from_the_first_claim(kitchen: Kitchen) -> None:
    job_id = kitchen.batch(32)
    kitchen.work(most=16)
    job = kitchen.job(job_id)
    assert job.progress.rate_window
    assert job.progress.rate_window.since_ms == job.started_ms
    assert job.progress.rate_window.done_before == 0


def test_a_finished_image_costs_less_than_600_bytes(kitchen: Kitchen) -> None:
    before = kitchen.client.info("memory")["used_memory"]
    job_id = kitchen.accept()
    for start in range(0, 10_000, 500):
        named = [
            NewImage(path=b"2024/summer holidays/IMG_%06d.jpg" % n, upload=b"x")
            for n in range(start, start + 500)
        ]
        kitchen.batches.add(job_id, named)
    kitchen.batches.seal(job_id)
    long = Outcome(result=[["a cat", 0.98765432], ["a dog", 0.012345678]], label="a cat")
    while claim := kitchen.claim(64):
        kitchen.worker.complete(claim, {claimed.item: long for claimed in claim.items})
    assert kitchen.job(job_id).status is Status.SUCCEEDED
    used = kitchen.client.info("memory")["used_memory"] - before
    assert used / 10_000 < 600
    kept = sum(
        kitchen.client.memory_usage(key(name, job_id), samples=0) or 0
        for name in ("job", "items", "results", "labels", "failures")
    )
    assert kept / 10_000 < 300
