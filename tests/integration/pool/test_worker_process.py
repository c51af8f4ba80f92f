"""What a worker process does beside its work, on a real Redis and without TensorFlow."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.support.polling import wait_until
from tests.support.work import CLASSIFYING, OTHER_MODEL, Work, prediction, success
from worker.contract.workers import Worker
from worker.jobs.claims import Claim, Claims
from worker.jobs.keys import key
from worker.jobs.records import Lane, Status
from worker.jobs.roster import GraphReport, Roster, is_dead_relative, new_worker_id
from worker.pool import claims as claims_module
from worker.pool import process as process_module
from worker.pool.memory import MemoryLimit
from worker.pool.process import WorkerProcess
from worker.settings import Settings

_GRAPH = GraphReport(
    model="cats-dogs",
    version=2,
    sha256="ab" * 32,
    state="ready",
    loads=1,
    load_seconds=0.1,
    bytes=1,
    runtime="tensorflow",
    error=None,
)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"heartbeat_s": 0.1, "sweep_interval_s": 0.1})


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


def _row(work: Work) -> Worker | None:
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
    assert (row.state, row.queues, row.items) == ("starting", ["interactive", "bulk"], 0)
    assert row.memory_bytes > 1_000_000
    process.ready()
    row = _row(work)
    assert row is not None
    assert row.state == "ready"
    process.stop()
    assert _row(work) is None


def test_a_process_that_tickets_do_not_reach_yet_is_not_ready(
    settings: Settings, work: Work
) -> None:
    accepting: list[bool] = []
    process = WorkerProcess(
        settings, CLASSIFYING, lambda _: None, is_accepting=lambda: bool(accepting)
    )
    _start(process)
    assert process.state == "starting"
    accepting.append(True)
    assert process.state == "ready"
    process.stop()


def test_a_graph_is_on_the_roster_as_soon_as_it_is_loaded(settings: Settings, work: Work) -> None:
    rare = settings.model_copy(update={"heartbeat_s": 600.0})
    graphs: list[GraphReport] = []
    process = WorkerProcess(rare, CLASSIFYING, lambda _: None, graphs=lambda: graphs)
    _start(process)
    wait_until(lambda: _row(work), within_s=5, what="it reports")
    graphs.append(_GRAPH)
    process.wake()
    wait_until(lambda: (row := _row(work)) and row.graphs, within_s=5, what="it reports the graph")
    process.stop()


def test_the_keeper_looks_at_once_where_it_is_asked_to(
    settings: Settings, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "_TICK_S", 600.0)
    patient = settings.model_copy(
        update={"heartbeat_s": 600.0, "sweep_interval_s": 600.0, "lease_s": 6000.0}
    )
    process = WorkerProcess(patient, CLASSIFYING, lambda _: None)
    ticks: list[int] = []
    process.on_tick = lambda: ticks.append(1)
    _start(process)
    for count in (1, 2):
        process.wake()
        wait_until(lambda: len(ticks) == count, within_s=5, what="it looks")  # noqa: B023
    process.stop()  # which does not wait for the next turn either
    assert not process._thread.is_alive()


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
    process.claims.finish(claim, success(claim))
    assert process.claims.items_done == 3
    assert process.claims.held == ()
    assert {work.get(job_id).status for job_id in ids} == {Status.SUCCEEDED}


def test_late_outcomes_are_not_counted(process: WorkerProcess, work: Work) -> None:
    work.accept()
    claim = _claim(process)
    work.let_leases_run_out()
    work.sweep()
    process.claims.finish(claim, success(claim))
    assert process.claims.items_done == 0
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
    process.claims.finish(claim, success(claim))
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
    monkeypatch.setattr(claims_module, "_RETRY_FOR_S", 0.0)
    monkeypatch.setattr(process.claims, "complete", never)
    process.claims.finish(claim, success(claim))
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
        process.claims.finish(claim, success(claim, float("nan")))
    assert process.claims.held == ()


def test_a_claim_is_handed_back_with_its_reason(process: WorkerProcess, work: Work) -> None:
    job_id = work.accept()
    for _ in range(3):
        process.claims.hand_back(_claim(process), "the worker was tired.", counts=True)
    error = work.get(job_id).error
    assert error is not None
    assert error["message"].endswith("The last one: the worker was tired.")
    assert process.claims.held == ()


# -- what takes too long ----------------------------------------------------------------------


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Note how the process would have ended; `tests/faults` lets it."""
    codes: list[int] = []
    over = threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        over.wait()  # nothing runs after an exit

    monkeypatch.setattr(os, "_exit", end)
    yield codes
    over.set()


def test_an_image_that_runs_for_too_long_alone_has_failed(
    settings: Settings, work: Work, exits: list[int]
) -> None:
    hasty = settings.model_copy(update={"run_time_limit_s": 0.2})
    process = WorkerProcess(hasty, CLASSIFYING, lambda _: None)
    _start(process)
    job_id = work.accept()
    with process.claims.run(_claim(process)):
        wait_until(lambda: exits, within_s=5, what="the process ends itself")
    assert exits == [70]
    assert work.get(job_id).error == {
        "code": "timed_out",
        "message": "The image was still being run after 0.2 s, the most that one may take.",
    }
    assert _row(work) is None


def test_images_of_a_micro_batch_that_runs_for_too_long_are_each_tried_alone(
    settings: Settings, work: Work, exits: list[int]
) -> None:
    hasty = settings.model_copy(update={"run_time_limit_s": 0.2})
    process = WorkerProcess(hasty, CLASSIFYING, lambda _: None)
    _start(process)
    ids = [work.accept() for _ in range(3)]
    claim = _claim(process)
    other = work.accept(prediction(model=OTHER_MODEL))
    held = process.claims.claim(CLASSIFYING, 16)  # as a listing that goes on beside
    assert held is not None
    with process.claims.run(claim):
        wait_until(lambda: exits, within_s=5, what="the process ends itself")
    alone = [work.claim() for _ in range(4)]
    taken = {row.item.job_id: row.attempt for claim in alone for row in claim.items}
    assert taken == {**dict.fromkeys(ids, 2), other: 1}
    assert work.nothing_waits()


def test_what_runs_within_its_time_is_left_alone(
    settings: Settings, work: Work, exits: list[int]
) -> None:
    hasty = settings.model_copy(update={"run_time_limit_s": 0.3})
    process = WorkerProcess(hasty, CLASSIFYING, lambda _: None)
    _start(process)
    work.accept()
    claim = _claim(process)
    with process.claims.run(claim):
        pass
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 1.0, within_s=5, what="the keeper had its turns")
    assert exits == []
    process.stop()


# -- stopping ---------------------------------------------------------------------------------


def test_what_a_stopped_process_holds_is_handed_back(process: WorkerProcess, work: Work) -> None:
    job_id = work.accept()
    _claim(process)
    process.stop()
    assert [(row.item.job_id, row.attempt) for row in work.claim().items] == [(job_id, 1)]


def test_a_worker_that_stops_hands_back_what_it_cannot_finish_in_time(
    settings: Settings, work: Work, exits: list[int]
) -> None:
    closed: list[bool] = []
    patient = settings.model_copy(update={"stop_grace_s": 0.3})
    process = WorkerProcess(patient, CLASSIFYING, lambda _: None, is_stopping=lambda: bool(closed))
    _start(process)
    job_id = work.accept()
    _claim(process)
    closed.append(True)
    assert process.state == "stopping"
    wait_until(lambda: exits, within_s=5, what="the process ends itself")
    assert [(row.item.job_id, row.attempt) for row in work.claim().items] == [(job_id, 1)]


# -- the dead ---------------------------------------------------------------------------------


def test_who_stands_in_for_a_dead_process_takes_back_what_that_held(
    settings: Settings, work: Work, sent: list[Lane]
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    ids = [work.accept() for _ in range(3)]
    names = [f"h-{gone.pid}-abcd123456", f"h-{gone.pid}-ffff123456", f"h-{os.getpid()}-abcd123456"]
    for name in names:  # a relative that died, one of another worker, and one that lives
        assert Claims(work.client, settings, name).claim(CLASSIFYING, 1)
        work.client.zadd(key("workers"), {name: 10**15})
    process = WorkerProcess(settings, CLASSIFYING, sent.append, pool_id="abcd")
    process.start()
    assert set(sent) == set(CLASSIFYING)
    assert [(row.item.job_id, row.attempt) for row in work.claim().items] == [(ids[0], 2)]
    assert work.nothing_waits()
    assert names[0].encode() not in work.client.zrange(key("workers"), 0, -1)
    process.stop()
    assert set(work.client.zrange(key("workers"), 0, -1)) == {name.encode() for name in names[1:]}


@pytest.mark.parametrize(
    ("worker", "mark", "dead"),
    [
        ("h-x-{gone}-abcd01", "abcd", True),
        ("h-{gone}-abcd01", "", False),
        ("h-{gone}-bcd01", "abcd", False),
        ("h-{here}-abcd01", "abcd", False),
        ("worker-1", "abcd", False),
        ("abcd", "abcd", False),
        ("", "abcd", False),
    ],
)
def test_only_relatives_are_known_to_be_dead(worker: str, mark: str, dead: bool) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert is_dead_relative(worker.format(gone=gone.pid, here=os.getpid()), mark) is dead
    assert not is_dead_relative(new_worker_id("abcd"), "abcd")


# -- memory -----------------------------------------------------------------------------------


def test_a_process_that_has_grown_too_much_knows_it() -> None:
    used = MemoryLimit(1).used
    assert used > 1_000_000
    assert MemoryLimit(1).exceeded
    assert not MemoryLimit(4 * used).exceeded


def test_what_a_process_needs_from_the_start_is_not_too_much() -> None:
    limit = MemoryLimit(1)
    limit.settle()
    assert not limit.exceeded
    grown = bytearray(limit.used)  # twice as much
    grown[::4096] = b"x" * len(grown[::4096])
    assert limit.exceeded
