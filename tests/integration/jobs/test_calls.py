"""Calls: worker processes that wait for work themselves, on a real Redis."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import redis

from tests.support.work import CLASSIFYING, Work, filled, prediction
from worker.jobs.claims import Claims
from worker.jobs.keys import key
from worker.jobs.records import Lane


def _waits(claims: Claims, lanes: Sequence[Lane] = CLASSIFYING) -> None:
    assert claims.claim(lanes, 16, wait_s=60) is None


def _is_called(claims: Claims) -> bool:
    return claims.called(60, until=lambda: False)


def test_a_process_that_waits_is_called_and_needs_no_ticket(work: Work) -> None:
    _waits(work.claims)
    accepted = work.store.accept(prediction())
    assert not accepted.ticket_needed
    assert _is_called(work.claims)
    assert [row.item.job_id for row in work.claim().items] == [accepted.job_id]


def test_each_call_is_for_one_process_and_then_tickets_are_needed(work: Work) -> None:
    _waits(work.claims)
    _waits(work.other_claims)
    assert [work.store.accept(prediction()).ticket_needed for _ in range(4)] == [
        *(False, False, True),
        False,  # its ticket is on its way
    ]
    assert _is_called(work.claims)
    assert _is_called(work.other_claims)


def test_a_call_wakes_a_process_that_waits_already(work: Work) -> None:
    _waits(work.claims)
    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(_is_called, work.claims)
        work.accept()
        assert called.result(timeout=30)


def test_a_process_is_called_for_its_own_lanes_only(work: Work) -> None:
    _waits(work.claims, [Lane.BULK])
    assert work.store.accept(prediction()).ticket_needed
    assert not work.claims.stop_waiting()


def test_who_waits_for_two_lanes_is_called_once(work: Work, client: redis.Redis) -> None:
    _waits(work.claims)
    work.accept()
    work.accept(replace(prediction(), lane=Lane.BULK))
    assert _is_called(work.claims)
    assert not work.claims.stop_waiting()


def test_nobody_is_called_whose_waiting_is_over(work: Work, client: redis.Redis) -> None:
    _waits(work.claims)
    client.zadd(key("waiting", Lane.INTERACTIVE), {"worker-1": 1})
    assert work.store.accept(prediction()).ticket_needed
    assert client.zcard(key("waiting", Lane.INTERACTIVE)) == 0


def test_a_call_of_the_last_moment_is_not_missed(work: Work) -> None:
    _waits(work.claims)
    work.accept()
    assert work.claims.called(60, until=lambda: True)
    _waits(work.other_claims, [Lane.FREEZING])
    assert not work.other_claims.called(60, until=lambda: True)
    assert not work.other_claims.called(0.05, until=lambda: False)


def test_who_has_stopped_waiting_is_not_called(work: Work) -> None:
    _waits(work.claims)
    assert not work.claims.stop_waiting()
    assert work.store.accept(prediction()).ticket_needed


def test_the_dead_are_not_called(work: Work) -> None:
    _waits(work.claims)
    work.other_claims.take_back(lambda worker: worker == "worker-1")
    assert work.store.accept(prediction()).ticket_needed


def test_a_call_that_was_lost_is_repaired_by_a_sweep(work: Work, client: redis.Redis) -> None:
    _waits(work.claims)
    assert not work.store.accept(prediction()).ticket_needed
    client.delete(key("call", "worker-1"))
    assert work.sweep().lost_tickets == (Lane.INTERACTIVE,)


def test_a_process_can_wait_while_redis_is_full(work: Work, client: redis.Redis) -> None:
    with filled(client):
        _waits(work.claims)
        _waits(work.claims)
