"""Micro-batches of batches are as large as fits into the time that others may wait."""

from worker.inference.pace import Pace


def test_the_first_micro_batch_is_as_large_as_allowed() -> None:
    assert Pace(32).images() == 32


def test_a_fast_model_gets_whole_micro_batches_and_a_slow_one_few_images() -> None:
    pace = Pace(32)
    pace.measured(32, 0.032)
    assert pace.images() == 32
    for _ in range(20):
        pace.measured(8, 0.16)
    assert pace.images() == 4
    for _ in range(20):
        pace.measured(1, 2.0)
    assert pace.images() == 1


def test_one_slow_micro_batch_does_not_decide() -> None:
    pace = Pace(32)
    for _ in range(10):
        pace.measured(16, 0.016)
    pace.measured(16, 0.08)
    assert 16 <= pace.images() < 80
