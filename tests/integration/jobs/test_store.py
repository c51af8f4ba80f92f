"""Accepting, reading, listing and cancelling jobs, on a real Redis."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from tests.support.work import MODEL, OTHER_MODEL, Work, filled, freeze, prediction, success
from worker.errors import (
    GoneError,
    IdempotencyMismatchError,
    InvalidRequestError,
    NotFoundError,
)
from worker.jobs.keys import TEMPLATES, key, lua_builders
from worker.jobs.records import JobProgress, Kind, Lane, Status
from worker.jobs.store import JobStore
from worker.jobs.submissions import new_job_id
from worker.jobs.tickets import TICKET_MS
from worker.redis.connection import connect
from worker.settings import Settings

# -- accepting --------------------------------------------------------------------------------


def test_an_accepted_job_can_be_read_as_it_was_accepted(work: Work) -> None:
    accepted = work.store.accept(prediction(b"pixels"))
    job = work.get(accepted.job_id)
    assert accepted.created
    assert job == accepted.job
    assert job.kind is Kind.PREDICTION
    assert job.status is Status.QUEUED
    assert job.model == MODEL
    assert job.progress == JobProgress(total=1, succeeded=0, failed=0)
    assert job.options == {"top": 5}
    assert (job.started_ms, job.finished_ms, job.expires_ms) == (None, None, None)
    assert (job.result, job.error, job.attempts) == (None, None, 0)
    assert work.store.upload(job.id) == b"pixels"
    assert work.store.status(job.id) is Status.QUEUED


def test_a_job_is_created_at_the_time_that_redis_says(work: Work, client: redis.Redis) -> None:
    seconds, _ = client.time()
    assert abs(work.get(work.accept()).created_ms - seconds * 1000) < 5000


def test_only_the_first_of_several_jobs_needs_a_ticket(work: Work) -> None:
    assert [work.store.accept(prediction()).ticket_needed for _ in range(3)] == [True, False, False]


def test_each_lane_needs_a_ticket_of_its_own(work: Work) -> None:
    work.accept()
    assert work.store.accept(prediction(lane=Lane.BULK)).ticket_needed
    assert work.store.accept(freeze()).ticket_needed


def test_a_ticket_is_taken_for_lost_after_its_time(work: Work, client: redis.Redis) -> None:
    work.accept()
    assert 0 < client.pttl(key("ticket", Lane.INTERACTIVE)) <= TICKET_MS


def test_no_ticket_is_needed_while_one_lies_in_the_brokers_queue(
    work: Work, client: redis.Redis
) -> None:
    client.lpush(key("tickets", Lane.INTERACTIVE), "a ticket")
    assert not work.store.accept(prediction()).ticket_needed


def test_accepting_the_same_job_twice_after_a_lost_answer_changes_nothing(work: Work) -> None:
    submission = prediction(job_id=new_job_id())
    first = work.store.accept(submission)
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    second = work.store.accept(submission)
    assert second.created
    assert second.job_id == first.job_id
    assert work.get(first.job_id).status is Status.SUCCEEDED
    assert work.nothing_waits()


def test_two_jobs_never_have_the_same_id_and_ids_are_in_order_of_time(work: Work) -> None:
    ids = [new_job_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert [job_id[:10] for job_id in ids] == sorted(job_id[:10] for job_id in ids)


# -- idempotency ------------------------------------------------------------------------------


def test_a_repeated_key_returns_the_first_job(work: Work) -> None:
    submission = prediction(idempotency_digest="d", fingerprint="f")
    first, second = work.store.accept(submission), work.store.accept(submission)
    assert second.job_id == first.job_id
    assert (first.created, second.created) == (True, False)
    assert second.job is None
    assert not second.ticket_needed
    assert len(work.claim().items) == 1


def test_a_key_cannot_be_used_for_another_request(work: Work) -> None:
    first = work.accept(prediction(idempotency_digest="d", fingerprint="f"))
    with pytest.raises(IdempotencyMismatchError, match=first):
        work.accept(prediction(idempotency_digest="d", fingerprint="g"))
    assert len(work.store.page().jobs) == 1


def test_a_key_is_remembered_for_the_time_that_the_settings_say(
    work: Work, client: redis.Redis, settings: Settings
) -> None:
    work.accept(prediction(idempotency_digest="d", fingerprint="f"))
    assert 0 < client.ttl(key("idempotency", "d")) <= settings.idempotency_ttl_s


def test_a_key_sent_by_many_at_once_makes_one_job(settings: Settings, client: redis.Redis) -> None:
    together = threading.Barrier(16)

    def submit(_: int) -> tuple[str, bool]:
        with connect(settings) as own:
            store = JobStore(own, settings)
            together.wait()
            accepted = store.accept(prediction(idempotency_digest="d", fingerprint="f"))
        return accepted.job_id, accepted.created

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(submit, range(16)))
    assert len({job_id for job_id, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1
    assert len(JobStore(client, settings).page().jobs) == 1


# -- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "job_id",
    ["", "x", "../etc/passwd", "A" * 26, "0" * 25, "0" * 27, "0" * 25 + "\n", "0" * 25 + "*"],
)
def test_what_cannot_be_an_id_is_not_found(work: Work, job_id: str) -> None:
    with pytest.raises(NotFoundError):
        work.get(job_id)
    with pytest.raises(NotFoundError):
        work.store.cancel(job_id)


def test_an_unknown_id_is_not_found(work: Work) -> None:
    with pytest.raises(NotFoundError):
        work.get(new_job_id())


def test_an_expired_job_is_gone_and_later_unknown(
    work: Work, client: redis.Redis, settings: Settings
) -> None:
    job_id = work.accept()
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    work.let_expire(job_id)
    assert work.sweep().forgotten == 1
    with pytest.raises(GoneError, match=job_id):
        work.get(job_id)
    with pytest.raises(GoneError):
        work.store.cancel(job_id)
    assert work.store.page().jobs == []

    client.zincrby(key("expired"), -(settings.tombstone_ttl_s + 1) * 1000, job_id)
    work.sweep()
    with pytest.raises(NotFoundError):
        work.get(job_id)


def test_a_record_that_expired_before_any_sweep_is_gone_too(
    work: Work, client: redis.Redis
) -> None:
    job_id = work.accept()
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    client.delete(key("job", job_id))  # as its own time to live does
    with pytest.raises(GoneError):
        work.get(job_id)
    assert work.store.page().jobs == []
    work.let_expire(job_id)
    work.sweep()
    assert not any(name.startswith("jobs:") for name in work.key_names())
    with pytest.raises(GoneError):
        work.get(job_id)


# -- listing ----------------------------------------------------------------------------------


def _all_pages(work: Work, limit: int, **filters: object) -> list[str]:
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = work.store.page(cursor=cursor, limit=limit, **filters)  # type: ignore[arg-type]  # a test's shorthand
        assert len(page.jobs) <= limit
        ids += [job.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            return ids


def test_pages_hold_every_job_once_newest_first_whatever_their_kind_and_status(work: Work) -> None:
    # Ids of the same millisecond are in no order of time, but in one order all the same.
    ids = [work.accept(freeze() if n % 3 == 0 else prediction(lane=Lane.BULK)) for n in range(30)]
    claim = work.claim(4)
    work.claims.complete(claim, success(claim))
    work.claim(4)
    work.store.cancel(ids[0])
    for limit in (1, 7, 30, 200):
        assert _all_pages(work, limit) == sorted(ids, reverse=True)


def test_jobs_of_one_millisecond_are_listed_once_each(work: Work) -> None:
    same = new_job_id()[:10]
    ids = [f"{same}{n:016d}" for n in range(25)]
    for n, job_id in enumerate(ids):
        work.accept(prediction(job_id=job_id) if n % 2 else freeze(job_id=job_id))
    assert _all_pages(work, 4) == ids[::-1]


def test_pages_can_be_narrowed_to_a_kind_and_a_status(work: Work) -> None:
    predictions = [work.accept() for _ in range(3)]
    freezes = [work.accept(freeze()) for _ in range(2)]
    work.store.cancel(predictions[0])
    assert set(_all_pages(work, 2, kind=Kind.FREEZE)) == set(freezes)
    assert _all_pages(work, 2, status=Status.CANCELLED) == [predictions[0]]
    assert set(_all_pages(work, 2, kind=Kind.PREDICTION, status=Status.QUEUED)) == set(
        predictions[1:]
    )
    assert _all_pages(work, 2, kind=Kind.FREEZE, status=Status.FAILED) == []


def test_the_last_page_has_no_cursor(work: Work) -> None:
    for _ in range(4):
        work.accept()
    assert work.store.page(limit=4).cursor is None
    assert work.store.page(limit=3).cursor is not None


def test_a_cursor_that_is_none_is_refused(work: Work) -> None:
    with pytest.raises(InvalidRequestError, match="cursor"):
        work.store.page(cursor="yesterday")


# -- cancelling -------------------------------------------------------------------------------


def test_a_queued_job_that_is_cancelled_is_never_worked_on(work: Work) -> None:
    job_id = work.accept()
    assert work.store.cancel(job_id).status is Status.CANCELLED
    assert work.nothing_waits()
    job = work.get(job_id)
    assert job.started_ms is None
    assert job.finished_ms is not None
    assert job.expires_ms is not None
    assert work.store.upload(job_id) is None


def test_the_photograph_of_a_cancelled_job_is_deleted_though_it_should_be_kept(work: Work) -> None:
    job_id = work.accept(prediction(keep_upload_s=60))
    work.store.cancel(job_id)
    assert work.store.upload(job_id) is None


def test_a_job_that_has_ended_cannot_be_cancelled(work: Work) -> None:
    job_id = work.accept()
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    assert work.store.cancel(job_id).status is Status.SUCCEEDED


def test_cancelling_twice_is_the_same_as_once(work: Work) -> None:
    job_id = work.accept()
    assert work.store.cancel(job_id) == work.store.cancel(job_id)


# -- logs -------------------------------------------------------------------------------------


def test_lines_of_a_log_are_read_from_any_number_on(work: Work) -> None:
    job_id = work.accept(freeze())
    work.store.add_log(job_id, "one", "two")
    work.store.add_log(job_id)
    work.store.add_log(job_id, "three")
    assert work.store.log(job_id) == ["one", "two", "three"]
    assert work.store.log(job_id, 2) == ["three"]
    assert work.store.log(job_id, 9) == []


def test_a_log_is_bounded_and_keeps_its_numbers(work: Work, client: redis.Redis) -> None:
    job_id = work.accept(freeze())
    for n in range(0, 1200, 100):
        work.store.add_log(job_id, *[f"{line} {'x' * 3000}" for line in range(n, n + 100)])
    lines = work.store.log(job_id)
    assert len(lines) == 1000
    assert lines[999].startswith("999 ")
    assert max(map(len, lines)) == 2000
    assert client.ttl(key("log", job_id)) > 0


# -- what lives for how long ------------------------------------------------------------------


def test_an_ended_job_leaves_nothing_that_lives_for_ever(
    work: Work, client: redis.Redis, settings: Settings
) -> None:
    job_id = work.accept(prediction(keep_upload_s=60, idempotency_digest="d", fingerprint="f"))
    work.store.add_log(job_id, "a line")
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    lives = {name: client.ttl("permafrost:" + name) for name in work.key_names()}
    assert settings.result_ttl_s < lives.pop(f"job:{job_id}") <= settings.result_ttl_s + 3600
    assert settings.result_ttl_s < lives.pop(f"log:{job_id}") <= settings.result_ttl_s + 3600
    assert 0 < lives.pop(f"upload:{job_id}:0") <= 60
    assert {name for name, ttl in lives.items() if ttl == -1} == {
        "claims",
        "expiry",
        "jobs:prediction:succeeded",
        "totals",
    }


# -- a full Redis -----------------------------------------------------------------------------


def test_a_full_redis_refuses_a_job_whole(work: Work, client: redis.Redis) -> None:
    work.accept()
    before = work.key_names()
    submission = prediction(idempotency_digest="d", fingerprint="f", lane=Lane.BULK)
    with filled(client), pytest.raises(redis.ResponseError, match="command not allowed"):
        work.accept(submission)
    assert work.key_names() == before
    assert work.store.accept(submission).created


def test_a_full_redis_can_still_be_read_and_jobs_cancelled(work: Work, client: redis.Redis) -> None:
    job_id, other = work.accept(), work.accept()
    with filled(client):
        assert work.get(job_id).status is Status.QUEUED
        assert {job.id for job in work.store.page().jobs} == {job_id, other}
        assert work.store.cancel(job_id).status is Status.CANCELLED
        work.store.add_log(other, "a line that is not worth failing for")
    assert work.store.log(other) == []


def test_the_target_of_another_model_is_another_queue(work: Work) -> None:
    work.accept(prediction())
    work.accept(prediction(model=OTHER_MODEL))
    assert {"queue:interactive:cats-dogs@1", "queue:interactive:birds@7"} <= work.key_names()


# -- scripts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_lua_builds_the_same_key_as_python(client: redis.Redis, name: str) -> None:
    parts = ["part-1", "part@2", "3"][: TEMPLATES[name].count("%s")]
    arguments = ", ".join(f"'{part}'" for part in parts)
    built = client.eval(f"{lua_builders([name])} return K.{name}({arguments})", 0)
    assert built == key(name, *parts).encode()


def test_a_script_that_redis_forgot_is_sent_again(work: Work, client: redis.Redis) -> None:
    work.accept()
    client.script_flush()
    work.accept()
    assert len(work.store.page().jobs) == 2
