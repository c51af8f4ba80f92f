"""What dies is repaired: dead claims, lost tickets, jobs that wait too long, on a real Redis."""

import pytest
import redis

from tests.support.work import CLASSIFYING, Work, failure, filled, freeze, prediction, success
from worker.errors import GoneError
from worker.jobs import sweeper as sweeper_module
from worker.jobs.keys import key
from worker.jobs.records import Kind, Lane, Status
from worker.jobs.roster import Roster, WorkerReport, new_worker_id
from worker.settings import Settings


def test_a_system_in_order_is_left_as_it_is(work: Work, client: redis.Redis) -> None:
    work.accept()
    work.claim()
    assert work.sweep() == (0, 0, 0, 0, ())


def test_all_processes_together_sweep_once_per_interval(work: Work, client: redis.Redis) -> None:
    assert work.sweep_in_turn() is not None
    assert work.sweep_in_turn() is None
    assert 0 < client.pttl(key("sweeper")) <= work.settings.sweep_interval_s * 1000


# -- dead claims ------------------------------------------------------------------------------


def test_what_a_dead_worker_held_is_claimed_by_another(work: Work) -> None:
    ids = [work.accept() for _ in range(3)]
    work.claim()
    work.let_leases_run_out()
    assert work.sweep().dead_claims == 1
    taken: list[str] = []
    while claim := work.other_claims.claim(CLASSIFYING, 16):
        taken += [claimed.item.job_id for claimed in claim.items]
        work.other_claims.complete(claim, success(claim))
    assert taken == ids
    assert {work.get(job_id).attempts for job_id in ids} == {2}
    assert {work.get(job_id).status for job_id in ids} == {Status.SUCCEEDED}


def test_a_job_whose_workers_keep_dying_fails_and_says_so(work: Work) -> None:
    job_id = work.accept()
    for _ in range(work.settings.max_attempts):
        work.claim()
        work.let_leases_run_out()
        work.sweep()
    job = work.get(job_id)
    assert job.status is Status.FAILED
    assert job.error == {
        "code": "poisoned",
        "message": "Given up after 3 attempts. The last one: worker worker-1 died or stopped "
        "answering while it had the work.",
    }
    assert work.nothing_waits()


def test_a_freeze_whose_worker_died_keeps_its_files(work: Work, client: redis.Redis) -> None:
    job_id = work.accept(freeze())
    work.claim(lanes=[Lane.FREEZING])
    client.hset(key("files", job_id), "a", "0:3:1")
    client.set(key("chunk", job_id, 0, 0), "abc")
    work.let_leases_run_out()
    work.sweep()
    assert client.get(key("chunk", job_id, 0, 0)) == b"abc"
    claim = work.claim(lanes=[Lane.FREEZING])
    work.claims.complete(claim, failure(claim))
    assert not client.exists(key("chunk", job_id, 0, 0), key("files", job_id))


def test_claims_get_another_lease_where_nobody_could_renew_them(
    work: Work, client: redis.Redis
) -> None:
    """Redis was stopped: all leases ran out, but the workers are there."""
    job_id = work.accept()
    claim = work.claim()
    work.sweep()
    work.let_leases_run_out()
    stopped_ms = (work.settings.lease_s + work.settings.sweep_interval_s) * 1000 + 1000
    seconds, _ = client.time()
    client.set(key("swept"), int(seconds * 1000 - stopped_ms))
    assert work.sweep().dead_claims == 0
    assert work.claims.complete(claim, success(claim)) == []
    assert (work.get(job_id).attempts, work.get(job_id).status) == (1, Status.SUCCEEDED)


def test_a_claim_is_taken_back_if_that_lease_runs_out_as_well(
    work: Work, client: redis.Redis
) -> None:
    work.accept()
    work.claim()
    client.set(key("swept"), 1)
    assert work.sweep().dead_claims == 0
    work.let_leases_run_out()
    assert work.sweep().dead_claims == 1


def test_one_sweep_repairs_a_bounded_number(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper_module, "_BOUND", 3)
    for _ in range(7):
        work.accept()
        work.claim()
    work.let_leases_run_out()
    assert [work.sweep().dead_claims for _ in range(4)] == [3, 3, 1, 0]


# -- lost tickets -----------------------------------------------------------------------------


def test_a_lost_ticket_is_sent_again(work: Work) -> None:
    work.accept()
    work.accept(freeze())
    assert work.sweep().lost_tickets == ()  # both may still arrive
    work.let_tickets_get_lost()
    assert set(work.sweep().lost_tickets) == {Lane.INTERACTIVE, Lane.FREEZING}
    assert set(work.tickets) == {Lane.INTERACTIVE, Lane.FREEZING}
    assert work.sweep().lost_tickets == ()


def test_no_ticket_is_sent_while_one_waits_at_the_broker(work: Work, client: redis.Redis) -> None:
    work.accept()
    work.let_tickets_get_lost()
    client.lpush(key("tickets", Lane.INTERACTIVE), "a ticket")
    assert work.sweep().lost_tickets == ()


def test_tickets_are_rebuilt_after_the_brokers_keys_were_deleted(
    work: Work, client: redis.Redis
) -> None:
    work.accept()
    client.lpush(key("tickets", Lane.INTERACTIVE), "a ticket")
    for name in client.scan_iter("*"):
        if not name.startswith(b"permafrost:"):
            client.delete(name)
    work.let_tickets_get_lost()
    assert work.sweep().lost_tickets == (Lane.INTERACTIVE,)


def test_what_was_taken_back_gets_a_ticket_in_the_same_sweep(work: Work) -> None:
    work.accept()
    work.claim()
    work.let_tickets_get_lost()
    work.let_leases_run_out()
    swept = work.sweep()
    assert (swept.dead_claims, swept.lost_tickets) == (1, (Lane.INTERACTIVE,))


# -- waiting too long -------------------------------------------------------------------------


def test_a_job_that_no_worker_took_in_time_fails(work: Work) -> None:
    late, young = work.accept(prediction(b"x")), work.accept()
    work.let_wait(late, work.settings.queue_ttl_s)
    assert work.sweep().timed_out == 1
    job = work.get(late)
    assert job.status is Status.FAILED
    assert job.error == {
        "code": "timed_out",
        "message": "The job still waited for a worker 86400 s after it was accepted.",
    }
    assert work.store.upload(late) is None
    assert [claimed.item.job_id for claimed in work.claim().items] == [young]


def test_a_job_that_waits_again_after_its_worker_died_does_not_wait_for_ever(work: Work) -> None:
    job_id = work.accept()
    work.claim()
    work.let_leases_run_out()
    work.let_wait(job_id, work.settings.queue_ttl_s)
    assert work.sweep().timed_out == 1
    assert work.get(job_id).error == {
        "code": "timed_out",
        "message": "The job still waited for a worker 86400 s after it was accepted.",
    }


def test_a_job_that_is_worked_on_is_not_timed_out(work: Work) -> None:
    job_id = work.accept()
    work.claim()
    work.let_wait(job_id, 10 * work.settings.queue_ttl_s)
    assert work.sweep().timed_out == 0
    assert work.get(job_id).status is Status.RUNNING


def test_jobs_of_every_lane_time_out(work: Work) -> None:
    ids = [work.accept(prediction(lane=Lane.BULK)), work.accept(freeze())]
    for job_id in ids:
        work.let_wait(job_id, work.settings.queue_ttl_s)
    assert work.sweep().timed_out == 2
    assert {work.get(job_id).status for job_id in ids} == {Status.FAILED}
    assert not any(name.startswith(("queue:", "lane:")) for name in work.key_names())


def test_queues_that_no_worker_serves_are_freed_of_ended_jobs(work: Work) -> None:
    for _ in range(3):
        work.store.cancel(work.accept(freeze()))
    work.sweep()
    assert not any(name.startswith(("queue:", "lane:")) for name in work.key_names())
    work.let_tickets_get_lost()
    assert work.sweep().lost_tickets == ()


# -- forgetting -------------------------------------------------------------------------------


def test_ended_jobs_are_forgotten_when_their_time_has_passed(work: Work) -> None:
    ids = [work.accept(freeze()), work.accept(), work.accept()]
    for job_id in ids:
        work.store.add_log(job_id, "a line")
    work.store.cancel(ids[0])
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    for job_id in ids[:2]:
        work.let_expire(job_id)
    assert work.sweep().forgotten == 2
    for job_id in ids[:2]:
        with pytest.raises(GoneError):
            work.get(job_id)
    assert [job.id for job in work.store.page().jobs] == [ids[2]]
    assert work.store.page(kind=Kind.FREEZE).jobs == []
    assert not {f"log:{job_id}" for job_id in ids[:2]} & work.key_names()


def test_jobs_of_different_kinds_and_one_without_a_record_are_forgotten_together(
    work: Work, client: redis.Redis
) -> None:
    ids = [work.accept(freeze()), work.accept(), work.accept(), work.accept()]
    work.store.add_log(ids[1], "a line")
    for job_id in ids[:3]:
        work.store.cancel(job_id)
        work.let_expire(job_id)
    client.delete(key("job", ids[2]))  # as it expires where nobody sweeps for an hour
    assert work.sweep().forgotten == 3
    assert [job.id for job in work.store.page().jobs] == [ids[3]]
    assert not client.keys(key("index", "*", "cancelled"))
    assert not [name for name in work.key_names() if any(job_id in name for job_id in ids[:3])]
    assert client.zcard(key("expired")) == 3


def test_one_sweep_forgets_all_that_is_due_in_short_steps(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "_FORGOTTEN", 3)
    ids = [work.accept() for _ in range(8)]
    for job_id in ids[:7]:
        work.store.cancel(job_id)
        work.let_expire(job_id)
    assert work.sweep().forgotten == 7
    assert [job.id for job in work.store.page().jobs] == [ids[7]]


def test_a_sweep_that_has_taken_long_enough_leaves_the_rest_to_the_next(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "_FORGOTTEN", 3)
    monkeypatch.setattr(sweeper_module, "_FORGETTING_S", 0.0)
    for _ in range(7):
        job_id = work.accept()
        work.store.cancel(job_id)
        work.let_expire(job_id)
    assert [work.sweep().forgotten for _ in range(4)] == [3, 3, 1, 0]


def test_forgotten_jobs_are_remembered_for_a_limited_time_and_leave_in_short_steps(
    work: Work, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "_FORGOTTEN", 3)
    seconds, _ = client.time()
    past = (seconds - work.settings.tombstone_ttl_s) * 1000 - 10
    client.zadd(key("expired"), {f"old-{n}": past + n for n in range(8)})
    client.zadd(key("expired"), {"young": seconds * 1000})
    work.sweep()
    assert client.zrange(key("expired"), 0, -1) == [b"young"]


def test_the_memory_of_forgotten_jobs_is_bounded(
    work: Work, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "_MOST_TOMBSTONES", 3)
    seconds, _ = client.time()
    client.zadd(key("expired"), {f"job-{n}": seconds * 1000 + n for n in range(5)})
    work.sweep()
    assert client.zrange(key("expired"), 0, -1) == [b"job-2", b"job-3", b"job-4"]


# -- a full Redis -----------------------------------------------------------------------------


def test_a_full_redis_is_swept_like_any_other(work: Work, client: redis.Redis) -> None:
    dead, old, waiting = work.accept(), work.accept(), work.accept(freeze())
    claim = work.claim(1)
    assert claim.items[0].item.job_id == dead
    work.store.cancel(old)
    work.let_expire(old)
    work.let_wait(waiting, work.settings.queue_ttl_s)
    work.let_leases_run_out()
    with filled(client):
        swept = work.sweep()
    assert (swept.dead_claims, swept.timed_out, swept.forgotten) == (1, 1, 1)


# -- the roster -------------------------------------------------------------------------------


def _report(worker_id: str, state: str = "ready") -> WorkerReport:
    return WorkerReport(
        id=worker_id,
        pid=1,
        host="h",
        state=state,
        queues=["interactive"],
        graphs=[],
        memory_bytes=1,
        items=0,
        started_ms=0,
    )


def test_the_roster_shows_who_reported_lately(client: redis.Redis, settings: Settings) -> None:
    roster = Roster(client, settings)
    silent, leaving, living = (new_worker_id() for _ in range(3))
    for worker_id in (silent, leaving, living):
        roster.report(_report(worker_id))
    assert {row.id for row in roster.read()} == {silent, leaving, living}
    roster.leave(leaving)
    client.delete(key("worker", silent))  # as its time to live does
    client.zadd(key("workers"), {silent: 1})
    roster.report(_report(living, "stopping"))
    (row,) = roster.read()
    assert (row.id, row.state) == (living, "stopping")
    assert (row.started_at.timestamp(), row.seen_at.year >= 2026) == (0, True)
    assert client.zcard(key("workers")) == 1
    assert client.ttl(key("worker", living)) > 0


def test_workers_stay_visible_while_redis_is_full(client: redis.Redis, settings: Settings) -> None:
    roster = Roster(client, settings)
    worker_id = new_worker_id()
    with filled(client):
        roster.report(_report(worker_id))
    assert [row.id for row in roster.read()] == [worker_id]
