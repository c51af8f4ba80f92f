"""Micro-batches of batches are as large as fits into the time that others may wait."""

import pytest

from worker.inference.batch_sizer import BatchSizer, LatencyBudget


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, to be moved."""
    moment = [1000.0]
    monkeypatch.setattr("worker.inference.batch_sizer.time.monotonic", lambda: moment[0])
    return moment


def test_the_first_micro_batch_is_as_large_as_allowed() -> None:
    assert BatchSizer(32).images(0.08) == 32


def test_a_fast_model_gets_whole_micro_batches_and_a_slow_one_few_images() -> None:
    pace = BatchSizer(32)
    pace.measured(32, 0.032)
    assert pace.images(0.08) == 32
    for _ in range(20):
        pace.measured(8, 0.16)
    assert pace.images(0.08) == 4
    assert pace.images(0.4) == 20
    for _ in range(20):
        pace.measured(1, 2.0)
    assert pace.images(0.08) == 1


def test_one_slow_micro_batch_does_not_decide() -> None:
    pace = BatchSizer(80)
    for _ in range(10):
        pace.measured(16, 0.016)
    pace.measured(16, 0.08)
    assert 16 <= pace.images(0.08) < 80


def test_micro_batches_are_short_while_people_ask_for_single_images(now: list[float]) -> None:
    patience = LatencyBudget()
    alone = patience.seconds
    patience.requested()
    beside = patience.seconds
    assert (beside, alone) == pytest.approx((0.08, 0.4))
    for _ in range(3):
        now[0] += 2.9
        assert patience.seconds == beside
        patience.requested()
    now[0] += 3.1
    assert patience.seconds == alone
