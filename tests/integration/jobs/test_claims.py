"""Claims: who gets what, and whose word counts, on a real Redis."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis

from tests.support.work import (
    CLASSIFYING,
    OTHER_MODEL,
    Work,
    failure,
    filled,
    freeze,
    prediction,
    success,
)
from worker.jobs import claims as claims_module
from worker.jobs.claims import Claims
from worker.jobs.keys import key
from worker.jobs.records import Item, Job, JobProgress, Kind, Lane, Outcome, Status
from worker.jobs.tickets import TICKET_MS
from worker.redis.connection import connect
from worker.settings import Settings

# -- what a claim gives -----------------------------------------------------------------------


def test_a_claim_gives_all_that_is_needed_to_work(work: Work) -> None:
    job_id = work.accept(prediction(b"pixels", options={"top": 3}))
    claim = work.claim()
    (claimed,) = claim.items
    assert (claim.lane, claim.target) == (Lane.INTERACTIVE, "cats-dogs@1")
    assert claimed.item == Item(job_id, 0, 0)
    assert (claimed.attempt, claimed.options, claimed.upload) == (1, {"top": 3}, b"pixels")
    job = work.get(job_id)
    assert (job.status, job.attempts) == (Status.RUNNING, 1)
    assert job.started_ms is not None
    assert job.created_ms <= job.started_ms


def test_where_nothing_waits_there_is_no_claim(work: Work) -> None:
    assert work.claims.claim(CLASSIFYING, 16) is None
    assert work.claims.held == ()


def test_jobs_are_claimed_in_the_order_in_which_they_came(work: Work) -> None:
    ids = [work.accept() for _ in range(5)]
    assert [claimed.item.job_id for claimed in work.claim().items] == ids


def test_a_claim_holds_no_more_than_its_capacity(work: Work) -> None:
    for _ in range(5):
        work.accept()
    assert [len(work.claim(2).items) for _ in range(3)] == [2, 2, 1]
    assert work.nothing_waits()


def test_a_claim_can_be_as_large_as_the_settings_allow(work: Work) -> None:
    for _ in range(1024):
        work.accept()
    claim = work.claim(1024)
    assert len(claim.items) == 1024
    assert work.claims.complete(claim, success(claim)) == []
    assert work.claims.held == ()


def test_a_claim_ends_where_its_uploads_get_too_large_together(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_module, "_MOST_UPLOAD_BYTES", 1000)
    for _ in range(5):
        work.accept(prediction(b"x" * 400))
    assert [len(work.claim().items) for _ in range(2)] == [3, 2]


def test_an_upload_larger_than_the_bound_is_claimed_alone(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_module, "_MOST_UPLOAD_BYTES", 1000)
    for _ in range(2):
        work.accept(prediction(b"x" * 5000))
    assert [len(work.claim().items) for _ in range(2)] == [1, 1]


def test_interactive_work_comes_before_bulk_work(work: Work) -> None:
    work.accept(prediction(lane=Lane.BULK))
    work.accept(prediction(lane=Lane.INTERACTIVE))
    assert [work.claim().lane for _ in range(2)] == [Lane.INTERACTIVE, Lane.BULK]


def test_a_lane_that_is_not_asked_for_is_left_alone(work: Work) -> None:
    work.accept(freeze())
    assert work.claims.claim(CLASSIFYING, 16) is None
    claim = work.claim(lanes=[Lane.FREEZING])
    assert (claim.lane, claim.target, claim.items[0].upload) == (Lane.FREEZING, "-", b"")


def test_models_take_turns(work: Work, client: redis.Redis) -> None:
    for model in (prediction(), prediction(model=OTHER_MODEL)):
        for _ in range(3):
            work.accept(model)
    targets = []
    for turn in range(6):
        targets.append(work.claim(1).target)
        # Claims within one millisecond would be served at the same time.
        for target in client.zrange(key("lane", "interactive"), 0, -1):
            if target.decode() == targets[-1]:
                client.zincrby(key("lane", "interactive"), turn + 1, target)
    assert targets == ["cats-dogs@1", "birds@7"] * 3


def test_a_claim_holds_items_of_one_model_only(work: Work) -> None:
    for n in range(6):
        work.accept(prediction() if n % 2 else prediction(model=OTHER_MODEL))
    for _ in range(2):
        claim = work.claim()
        targets = {work.get(c.item.job_id).model for c in claim.items}
        assert len(claim.items) == 3
        assert len(targets) == 1


def test_two_workers_never_get_the_same_item(settings: Settings, client: redis.Redis) -> None:
    work = Work(client, settings)
    ids = [work.accept() for _ in range(200)]

    def claim_all(name: int) -> list[str]:
        taken = []
        with connect(settings) as own:
            claims = Claims(own, settings, f"worker-{name}")
            while claim := claims.claim(CLASSIFYING, 3):
                taken += [claimed.item.job_id for claimed in claim.items]
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [job_id for part in pool.map(claim_all, range(8)) for job_id in part]
    assert sorted(taken) == sorted(ids)


def test_entries_of_cancelled_jobs_are_passed_over_however_many_they_are(work: Work) -> None:
    cancelled = [work.accept() for _ in range(1100)]
    for job_id in cancelled:
        work.store.cancel(job_id)
    left = work.accept()
    assert [claimed.item.job_id for claimed in work.claim().items] == [left]
    assert work.nothing_waits()


# -- tickets ----------------------------------------------------------------------------------


def test_a_claim_asks_for_a_ticket_only_where_more_waits(work: Work) -> None:
    for _ in range(3):
        work.accept()
    first = work.claims.claim(CLASSIFYING, 2, ticket=Lane.INTERACTIVE)
    second = work.claims.claim(CLASSIFYING, 2, ticket=Lane.INTERACTIVE)
    assert first is not None
    assert second is not None
    assert first.tickets_needed == (Lane.INTERACTIVE,)
    assert second.tickets_needed == ()


def test_a_claim_asks_for_no_ticket_while_one_is_on_its_way(work: Work) -> None:
    for _ in range(3):
        work.accept()  # the first one's ticket is still on its way
    assert work.claim(1).tickets_needed == ()


def test_a_claim_asks_for_the_ticket_of_a_lane_that_it_did_not_serve(work: Work) -> None:
    work.accept(prediction(lane=Lane.BULK))
    work.accept()
    work.let_tickets_get_lost()
    assert work.claim().tickets_needed == (Lane.BULK,)


def test_tickets_do_not_pile_up_while_all_workers_are_busy(work: Work, client: redis.Redis) -> None:
    tickets = key("tickets", Lane.INTERACTIVE)
    for _ in range(50):
        if work.store.accept(prediction()).ticket_needed:
            client.lpush(tickets, "a ticket")
        work.let_tickets_get_lost()  # that is, time passes
        for _ in work.sweep().lost_tickets:
            client.lpush(tickets, "a ticket")
    assert client.llen(tickets) == 1


# -- outcomes ---------------------------------------------------------------------------------


def test_a_result_ends_the_job(work: Work, client: redis.Redis, settings: Settings) -> None:
    job_id = work.accept()
    claim = work.claim()
    result = {"predictions": [{"label": "cät", "score": 0.97}]}
    assert work.claims.complete(claim, {claim.items[0].item: Outcome(result=result)}) == []
    job = work.get(job_id)
    assert job.status is Status.SUCCEEDED
    assert job.result == result
    assert job.error is None
    assert job.progress == JobProgress(total=1, succeeded=1, failed=0)
    assert job.finished_ms is not None
    assert job.expires_ms == job.finished_ms + settings.result_ttl_s * 1000
    assert work.store.upload(job_id) is None
    assert work.claims.held == ()
    assert not client.exists(key("claim", claim.number), key("leases"))


def test_an_error_fails_the_job(work: Work) -> None:
    job_id = work.accept()
    claim = work.claim()
    work.claims.complete(claim, failure(claim))
    job = work.get(job_id)
    assert job.status is Status.FAILED
    assert job.result is None
    assert job.error == {"code": "truncated", "message": "It is."}
    assert job.progress == JobProgress(total=1, succeeded=0, failed=1)


def test_outcomes_can_be_written_one_after_the_other(work: Work) -> None:
    ids = [work.accept() for _ in range(3)]
    claim = work.claim()
    for number, claimed in enumerate(claim.items):
        assert work.claims.held == (claim.number,)
        work.claims.complete(claim, {claimed.item: Outcome(result=number)})
    assert work.claims.held == ()
    assert [work.get(job_id).result for job_id in ids] == [0, 1, 2]


def test_the_same_outcome_written_twice_counts_once(work: Work) -> None:
    job_id = work.accept()
    claim = work.claim()
    assert work.claims.complete(claim, success(claim, "first")) == []
    assert work.claims.complete(claim, success(claim, "second")) == [f"{job_id}:0"]
    job = work.get(job_id)
    assert (job.result, job.progress.succeeded) == ("first", 1)


def test_a_result_that_json_cannot_hold_is_never_written(work: Work) -> None:
    job_id = work.accept()
    claim = work.claim()
    with pytest.raises(ValueError, match="JSON"):
        work.claims.complete(claim, success(claim, float("nan")))
    assert work.get(job_id).status is Status.RUNNING


def test_a_photograph_is_kept_after_its_job_where_that_was_asked_for(
    work: Work, client: redis.Redis
) -> None:
    job_id = work.accept(prediction(b"pixels", keep_upload_s=60))
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    assert work.store.upload(job_id) == b"pixels"
    assert 0 < client.ttl(key("upload", job_id, 0)) <= 60


def test_the_end_of_a_job_is_announced(work: Work, client: redis.Redis) -> None:
    job_id = work.accept()
    claim = work.claim()
    with client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(key("ended"))
        channel.get_message(timeout=5)
        work.claims.complete(claim, success(claim))
        message = channel.get_message(timeout=5)
    assert message is not None
    assert message["data"][:26] == job_id.encode()
    assert Job.from_json(job_id, message["data"][26:]) == work.get(job_id)


def test_the_end_of_a_batch_is_announced_without_its_record(
    work: Work, client: redis.Redis
) -> None:
    job_id = work.accept(replace(prediction(), kind=Kind.BATCH, lane=Lane.BULK))
    with client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(key("ended"))
        channel.get_message(timeout=5)
        work.store.cancel(job_id)
        message = channel.get_message(timeout=5)
    assert message is not None
    assert message["data"] == job_id.encode()


# -- a full Redis -----------------------------------------------------------------------------


def test_a_full_redis_can_be_worked_empty(work: Work, client: redis.Redis) -> None:
    ids = [work.accept(prediction(b"x" * 1000, keep_upload_s=60)) for _ in range(4)]
    with filled(client):
        first = work.claim(1)
        assert work.claims.renew() == ()
        assert work.claims.complete(first, success(first)) == []
        second = work.claims.claim(CLASSIFYING, 1, ticket=Lane.INTERACTIVE)
        assert second is not None
        work.claims.complete(second, failure(second))
        work.claims.release(work.claim(1), "It stops.", counts=True)
        rest = [work.claim(), work.claim()]
        assert sum(len(claim.items) for claim in rest) == 2
    statuses = [work.get(job_id).status for job_id in ids]
    assert statuses == [Status.SUCCEEDED, Status.FAILED, Status.RUNNING, Status.RUNNING]


def test_a_ticket_that_is_needed_is_marked_as_sent_for_a_while(
    work: Work, client: redis.Redis
) -> None:
    for _ in range(2):
        work.accept()
    assert work.claims.claim(CLASSIFYING, 1, ticket=Lane.INTERACTIVE) is not None
    assert 0 < client.pttl(key("ticket", Lane.INTERACTIVE)) <= TICKET_MS
