"""What a worker process does beside its work, on a real Redis and without TensorFlow."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.support.polling import wait_until
from tests.support.work import CLASSIFYING, Work, success
from worker import process as process_module
from worker.jobs.claims import Claim
from worker.jobs.keys import key
from worker.jobs.records import Lane, Status
from worker.jobs.roster import GraphReport, Roster
from worker.process import WorkerProcess
from worker.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"heartbeat_s": 0.1, "sweep_interval_s": 0.1})


@pytest.fixture
def work(client: redis.Redis, settings: Settings) -> Work:
    return Work(client, settings)


@pytest.fixture
def sent() -> list[Lane]:
    return []


@pytest.fixture
def process(settings: Settings, client: redis.Redis, sent: list[Lane]) -> Iterator[WorkerProcess]:
    process = WorkerProcess(settings, CLASSIFYING, sent.append)
    yield process
    process.stop()


def _claim(process: WorkerProcess) -> Claim:
    claim = process.claims.claim(CLASSIFYING, 16)
    assert claim is not None
    return claim


def _row(work: Work) -> dict[str, Any] | None:
    rows = Roster(work.client, work.settings).read()
    return rows[0] if rows else None


# -- the keeper -------------------------------------------------------------------------------


def _start(process: WorkerProcess) -> None:
    process.start()
    process.ready()


def test_a_process_is_on_the_roster_until_it_stops(process: WorkerProcess, work: Work) -> None:
    process.start()
    row = wait_until(lambda: _row(work), within_s=5, what="it reports")
    assert row is not None
    assert (row["state"], row["queues"], row["items"]) == ("starting", ["interactive", "bulk"], 0)
    assert row["memory_bytes"] > 1_000_000
    process.ready()
    row = _row(work)
    assert row is not None
    assert row["state"] == "ready"
    process.stop()
    assert _row(work) is None


def test_a_process_that_tickets_do_not_reach_yet_is_not_ready(
    settings: Settings, work: Work
) -> None:
    gate: list[bool] = []
    process = WorkerProcess(settings, CLASSIFYING, lambda _: None, consuming=lambda: bool(gate))
    _start(process)
    assert process.state == "starting"
    gate.append(True)
    assert process.state == "ready"
    process.stop()


def test_the_keeper_renews_in_time(settings: Settings, work: Work) -> None:
    hasty = settings.model_copy(update={"lease_s": 0.3})
    process = WorkerProcess(hasty, CLASSIFYING, lambda _: None)
    work.accept()
    claim = process.claims.claim(CLASSIFYING, 1)
    assert claim is not None

    def until() -> float:
        return work.client.zscore(key("leases"), claim.number) or 0.0

    first = until()
    _start(process)
    wait_until(lambda: until() > first, within_s=5, what="the lease is prolonged")
    process.stop()


def test_every_process_sweeps(process: WorkerProcess, work: Work, sent: list[Lane]) -> None:
    job_id = work.accept()
    work.claim()  # by a worker that dies
    work.let_leases_run_out()
    work.let_tickets_get_lost()
    _start(process)
    wait_until(lambda: sent, within_s=5, what="a ticket is sent for what was taken back")
    assert sent == [Lane.INTERACTIVE]
    assert _claim(process).items[0].item.job_id == job_id


def test_the_keeper_outlives_what_its_duties_meet(settings: Settings, work: Work) -> None:
    calls: list[int] = []

    def graphs() -> list[GraphReport]:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("not now")
        return []

    process = WorkerProcess(settings, CLASSIFYING, lambda _: None, graphs=graphs)
    process.start()
    wait_until(lambda: _row(work), within_s=5, what="it reports after all")
    process.stop()


def test_a_ticket_that_cannot_be_sent_does_not_keep_others_from_being_sent(
    settings: Settings, client: redis.Redis
) -> None:
    sent: list[Lane] = []

    def send(lane: Lane) -> None:
        if lane is Lane.INTERACTIVE:
            raise OSError("no broker")
        sent.append(lane)

    process = WorkerProcess(settings, CLASSIFYING, send)
    process.send_tickets([Lane.INTERACTIVE, Lane.BULK])
    process.stop()
    assert sent == [Lane.BULK]


# -- the end of a claim -----------------------------------------------------------------------


def test_outcomes_are_written_and_counted(process: WorkerProcess, work: Work) -> None:
    ids = [work.accept() for _ in range(3)]
    claim = _claim(process)
    process.finish(claim, success(claim))
    assert process.items == 3
    assert process.claims.held == ()
    assert {work.get(job_id).status for job_id in ids} == {Status.SUCCEEDED}


def test_late_outcomes_are_not_counted(process: WorkerProcess, work: Work) -> None:
    work.accept()
    claim = _claim(process)
    work.let_leases_run_out()
    work.sweep()
    process.finish(claim, success(claim))
    assert process.items == 0
    assert process.claims.held == ()


def test_outcomes_are_written_once_the_store_can_be_reached_again(
    process: WorkerProcess, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = work.accept()
    claim = _claim(process)
    complete, failures = process.claims.complete, iter([redis.ConnectionError, redis.TimeoutError])

    def sometimes(*args: Any) -> list[str]:
        for failure in failures:
            raise failure("gone")
        return complete(*args)

    monkeypatch.setattr(process.claims, "complete", sometimes)
    process.finish(claim, success(claim))
    assert work.get(job_id).status is Status.SUCCEEDED


@pytest.mark.parametrize("error", [redis.ConnectionError("gone"), redis.ResponseError("MISCONF")])
def test_a_claim_that_cannot_be_finished_goes_to_another_worker(
    process: WorkerProcess, work: Work, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It must not be renewed for ever, which would keep its items from everybody."""

    def never(*_: Any) -> None:
        raise error

    job_id = work.accept()
    claim = _claim(process)
    monkeypatch.setattr(process_module, "_INSIST_S", 0.0)
    monkeypatch.setattr(process.claims, "complete", never)
    process.finish(claim, success(claim))
    assert process.claims.held == ()
    _start(process)
    work.let_leases_run_out()
    wait_until(
        lambda: not work.client.exists(key("claim", claim.number)), within_s=5, what="it is swept"
    )
    assert [claimed.item.job_id for claimed in _claim(process).items] == [job_id]


def test_a_claim_whose_outcome_cannot_be_written_at_all_goes_to_another_worker(
    process: WorkerProcess, work: Work
) -> None:
    work.accept()
    claim = _claim(process)
    with pytest.raises(ValueError, match="JSON"):
        process.finish(claim, success(claim, float("nan")))
    assert process.claims.held == ()


def test_a_claim_is_handed_back_with_its_reason(process: WorkerProcess, work: Work) -> None:
    job_id = work.accept()
    for _ in range(3):
        process.hand_back(_claim(process), "the worker was tired.", counts=True)
    error = work.get(job_id).error
    assert error is not None
    assert error["message"].endswith("The last one: the worker was tired.")
    assert process.claims.held == ()
