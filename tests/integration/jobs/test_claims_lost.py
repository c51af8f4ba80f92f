"""Claims that are lost, late or handed back: whose outcome counts, on a real Redis."""

from typing import Any

import pytest
import redis

from tests.support.work import (
    CLASSIFYING,
    Work,
    failure,
    success,
)
from worker.jobs.keys import key
from worker.jobs.records import Outcome, Status
from worker.jobs.scripts import Scripts


def test_a_worker_whose_claim_was_taken_back_cannot_write_any_more(work: Work) -> None:
    job_id = work.accept()
    late = work.claim()
    work.let_leases_run_out()
    assert work.sweep().dead_claims == 1
    again = work.other_claims.claim(CLASSIFYING, 16)
    assert again is not None
    assert again.number > late.number
    assert again.items[0].attempt == 2

    assert work.claims.complete(late, success(late, "late")) == [f"{job_id}:0"]
    assert work.get(job_id).status is Status.RUNNING
    assert work.other_claims.complete(again, success(again, "in time")) == []
    job = work.get(job_id)
    assert (job.result, job.attempts, job.progress.succeeded) == ("in time", 2, 1)
    assert job.requeued is not None
    assert "died or stopped answering while it had the work" in job.requeued.because
    assert job.created_ms <= job.requeued.at_ms <= (job.finished_ms or 0)


def test_a_late_result_does_not_replace_the_one_that_was_in_time(work: Work) -> None:
    job_id = work.accept()
    late = work.claim()
    work.let_leases_run_out()
    work.sweep()
    again = work.other_claims.claim(CLASSIFYING, 16)
    assert again is not None
    work.other_claims.complete(again, success(again, "in time"))
    before = work.key_names()
    assert work.claims.complete(late, failure(late)) == [f"{job_id}:0"]
    assert work.get(job_id).result == "in time"
    assert work.key_names() == before


def test_a_lease_that_was_renewed_is_not_taken_back(work: Work, client: redis.Redis) -> None:
    work.accept()
    claim = work.claim()
    work.let_leases_run_out()
    assert work.claims.renew() == ()
    assert work.sweep().dead_claims == 0
    assert work.claims.holds(claim)
    seconds, _ = client.time()
    until_ms = client.zscore(key("leases"), claim.number)
    assert until_ms is not None
    assert 0 < until_ms - seconds * 1000 <= work.settings.lease_s * 1000 + 1000


def test_a_lost_claim_is_reported_once_and_not_revived(work: Work) -> None:
    work.accept()
    claim = work.claim()
    work.let_leases_run_out()
    work.sweep()
    assert work.claims.renew() == (claim.number,)
    assert work.claims.renew() == ()
    assert not work.claims.holds(claim)


def test_an_abandoned_claim_is_not_renewed_and_goes_to_another_worker(work: Work) -> None:
    work.accept()
    claim = work.claim()
    work.claims.abandon(claim)
    assert work.claims.held == ()
    work.let_leases_run_out()
    work.claims.renew()
    assert work.sweep().dead_claims == 1
    assert not work.nothing_waits()


def test_a_claim_of_which_the_answer_was_lost_is_handed_back(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis stood still, the worker gave up waiting, and then Redis did what it was asked."""
    run = Scripts.run

    def late(self: Scripts, name: str, *each: Any, **once: Any) -> Any:
        run(self, name, *each, **once)
        raise redis.exceptions.TimeoutError("Timeout reading from socket")

    held_job, lost_job, others_job = (work.accept() for _ in range(3))
    held = work.claim(1)
    with monkeypatch.context() as redis_is_late:
        redis_is_late.setattr(Scripts, "run", late)
        with pytest.raises(redis.exceptions.TimeoutError):
            work.claims.claim(CLASSIFYING, 1)
    others = work.other_claims.claim(CLASSIFYING, 1)
    assert others is not None
    assert work.get(lost_job).status is Status.RUNNING

    assert work.claims.renew() == ()
    assert work.claims.holds(held)
    assert work.claims.holds(others)
    again = work.claim()
    assert [(claimed.item.job_id, claimed.attempt) for claimed in again.items] == [(lost_job, 1)]
    for claims, claim in ((work.claims, held), (work.other_claims, others), (work.claims, again)):
        assert claims.complete(claim, success(claim)) == []
    for job_id in (held_job, lost_job, others_job):
        assert work.get(job_id).status is Status.SUCCEEDED


def test_what_a_worker_writes_of_a_cancelled_job_is_dropped(work: Work) -> None:
    job_id = work.accept()
    claim = work.claim()
    assert work.store.cancel(job_id).status is Status.CANCELLED
    assert work.claims.complete(claim, success(claim)) == []
    job = work.get(job_id)
    assert (job.status, job.result) == (Status.CANCELLED, None)
    assert work.claims.held == ()


def test_a_claim_on_a_cancelled_job_that_dies_brings_nothing_back(work: Work) -> None:
    job_id = work.accept()
    work.claim()
    work.store.cancel(job_id)
    work.let_leases_run_out()
    work.sweep()
    assert work.nothing_waits()
    assert work.get(job_id).status is Status.CANCELLED


def test_what_is_handed_back_is_claimed_again_first_and_in_order(work: Work) -> None:
    ids = [work.accept() for _ in range(6)]
    claim = work.claim(3)
    work.claims.release(claim, "It stops.", counts=False)
    assert work.claims.held == ()
    assert [claimed.item.job_id for claimed in work.claim().items] == ids
    assert {work.get(job_id).attempts for job_id in ids} == {1}


def test_only_what_is_left_of_a_claim_is_handed_back(work: Work) -> None:
    ids = [work.accept() for _ in range(2)]
    claim = work.claim()
    work.claims.complete(claim, {claim.items[0].item: Outcome(result=1)})
    work.claims.release(claim, "It stops.", counts=False)
    assert [claimed.item.job_id for claimed in work.claim().items] == ids[1:]
    assert work.get(ids[0]).status is Status.SUCCEEDED


def test_handing_back_without_counting_can_go_on_for_ever(work: Work) -> None:
    job_id = work.accept()
    for _ in range(10):
        work.claims.release(work.claim(), "It stops.", counts=False)
    claim = work.claim()
    assert claim.items[0].attempt == 1
    work.claims.complete(claim, success(claim))
    job = work.get(job_id)
    assert job.status is Status.SUCCEEDED
    assert job.requeued is not None
    assert job.requeued.because == "It stops."


def test_an_item_that_was_tried_too_often_fails_with_the_last_reason(work: Work) -> None:
    job_id = work.accept()
    for attempt in (1, 2, 3):
        claim = work.claim()
        assert claim.items[0].attempt == attempt
        work.claims.release(claim, f"reason {attempt}.", counts=True)
    job = work.get(job_id)
    assert job.status is Status.FAILED
    assert job.error == {
        "code": "poisoned",
        "message": "Given up after 3 attempts. The last one: reason 3.",
    }
    assert (job.attempts, job.progress.failed) == (3, 1)
    assert work.nothing_waits()
    assert work.store.upload(job_id) is None


def test_an_item_that_brought_its_worker_down_does_not_take_others_with_it_again(
    work: Work,
) -> None:
    ids = [work.accept() for _ in range(8)]
    deadly = ids[3]
    deaths = 0
    while claim := work.claims.claim(CLASSIFYING, 4):
        if any(claimed.item.job_id == deadly for claimed in claim.items):
            deaths += 1
            work.let_leases_run_out()
            work.sweep()
        else:
            work.claims.complete(claim, success(claim))
    assert deaths == 3
    assert work.get(deadly).status is Status.FAILED
    others = [work.get(job_id) for job_id in ids if job_id != deadly]
    assert {job.status for job in others} == {Status.SUCCEEDED}
    assert max(job.attempts for job in others) == 2


def test_handing_back_a_claim_that_was_lost_changes_nothing(work: Work) -> None:
    job_id = work.accept()
    late = work.claim()
    work.let_leases_run_out()
    work.sweep()
    again = work.claim()
    work.claims.release(late, "too late.", counts=True)
    assert work.nothing_waits()
    assert work.claims.complete(again, success(again)) == []
    assert work.get(job_id).status is Status.SUCCEEDED
