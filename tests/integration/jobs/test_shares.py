"""Shares: how much of what waits in the bulk lane a worker claims, on a real Redis."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.support.work import CLASSIFYING, Work, prediction, success
from worker.jobs.claims import Claim, Claims
from worker.jobs.keys import key
from worker.jobs.records import Lane
from worker.jobs.roster import Roster, WorkerReport
from worker.settings import Settings


def _accept(work: Work, count: int, lane: Lane = Lane.BULK) -> None:
    for _ in range(count):
        work.accept(replace(prediction(), lane=lane))


def _claim(claims: Claims, capacity: int = 64, efficient: int = 1) -> Claim:
    claim = claims.claim(CLASSIFYING, capacity, efficient=efficient)
    assert claim is not None
    return claim


def _wait_as(worker: str, work: Work, *, until_ms: float = 1e15) -> None:
    """Have a worker wait although there is something that it could claim."""
    for lane in CLASSIFYING:
        work.client.zadd(key("waiting", lane), {worker: until_ms})


def _report_as(
    worker: str, work: Work, *, state: str = "ready", lanes: Sequence[Lane] = CLASSIFYING
) -> None:
    """Have a worker say that it lives."""
    report = WorkerReport(
        id=worker,
        pid=1,
        host="host",
        state=state,
        queues=[lane.value for lane in lanes],
        graphs=[],
        memory_bytes=0,
        items=0,
        started_ms=0,
    )
    Roster(work.client, work.settings).report(report)


def test_a_worker_that_is_alone_claims_all_that_it_can(work: Work) -> None:
    _accept(work, 50)
    assert len(_claim(work.claims).items) == 50


def test_who_waits_is_called_for_its_share(work: Work) -> None:
    _accept(work, 32)
    _wait_as("worker-2", work)
    claim = _claim(work.claims)
    assert len(claim.items) == 16
    assert claim.tickets_needed == ()
    assert work.other_claims.called(60, until=lambda: False)
    assert len(_claim(work.other_claims).items) == 16


def test_little_before_the_end_claims_become_smaller(work: Work) -> None:
    """Two workers, of which one asks whenever the other one is at work."""
    waiting, capacity = 200, 64
    _accept(work, waiting)
    held = _claim(work.other_claims, capacity)
    sizes = [len(held.items)]
    while latest := work.claims.claim(CLASSIFYING, capacity):
        work.other_claims.complete(held, success(held))
        sizes.append(len(latest.items))
        held = latest
    assert sum(sizes) == waiting, "every image is claimed, and once"
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == capacity, "while much waits, runs are as large as they may be"
    assert sizes[-1] < capacity // 2, "at the end no worker waits for a large run of the other one"


def test_a_share_is_never_too_small_to_be_worth_a_claim(work: Work) -> None:
    _accept(work, 16)
    for number in range(2, 10):
        _wait_as(f"worker-{number}", work)
    assert len(_claim(work.claims).items) == 8


def test_who_is_at_work_is_left_no_share_that_makes_runs_inefficient(work: Work) -> None:
    _accept(work, 8 + 48)
    assert len(_claim(work.other_claims, 8).items) == 8
    assert len(_claim(work.claims, efficient=40).items) == 40


def test_who_has_nothing_to_do_is_left_a_share_all_the_same(work: Work) -> None:
    _accept(work, 48)
    _wait_as("worker-2", work)
    assert len(_claim(work.claims, efficient=32).items) == 24


def test_who_has_stopped_waiting_has_no_share(work: Work) -> None:
    _accept(work, 32)
    _wait_as("worker-2", work, until_ms=1)
    assert len(_claim(work.claims).items) == 32


def test_who_is_ready_but_has_no_ticket_yet_is_left_a_share_and_sent_one(work: Work) -> None:
    _accept(work, 32)
    _report_as("worker-1", work)
    _report_as("worker-2", work)
    work.let_tickets_get_lost()
    claim = _claim(work.claims)
    assert len(claim.items) == 16
    assert claim.tickets_needed == (Lane.BULK,)
    assert len(_claim(work.other_claims).items) == 16


@pytest.mark.parametrize("state", ["starting", "stopping"])
def test_who_is_not_ready_has_no_share(work: Work, state: str) -> None:
    _accept(work, 32)
    _report_as("worker-1", work)
    _report_as("worker-2", work, state=state)
    _report_as("worker-3", work, lanes=[Lane.FREEZING])
    assert len(_claim(work.claims).items) == 32


def test_who_has_left_or_fallen_silent_has_no_share(work: Work, settings: Settings) -> None:
    _accept(work, 32)
    for number in range(1, 4):
        _report_as(f"worker-{number}", work)
    work.client.zadd(key("serving", Lane.BULK), {"worker-2": 1.0})
    Roster(work.client, settings).leave("worker-3")
    _report_as("worker-1", work)
    assert len(_claim(work.claims).items) == 32


def test_no_share_is_larger_than_the_capacity(work: Work) -> None:
    _accept(work, 40)
    assert len(_claim(work.claims, 4).items) == 4


def test_single_images_are_not_shared_out(work: Work) -> None:
    _accept(work, 32, Lane.INTERACTIVE)
    _wait_as("worker-2", work)
    assert len(_claim(work.claims).items) == 32
