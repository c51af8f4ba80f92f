"""How far a batch is, as a person is told."""

import pytest

from worker.jobs.presentation import batch_progress
from worker.jobs.records import JobProgress, RateWindow


def progress(**about: object) -> JobProgress:
    return JobProgress(**{"total": 100, "succeeded": 30, "failed": 10, **about})  # type: ignore[arg-type]


def test_rate_and_time_left_follow_from_what_ended_lately() -> None:
    pace = RateWindow(since_ms=5_000, done_before=20, until_ms=None)
    shown = batch_progress(progress(rate_window=pace, skipped=3), now_ms=10_000).model_dump()
    assert shown == {
        "total": 100,
        "succeeded": 30,
        "failed": 10,
        "skipped": 3,
        "sealed": True,
        "percent": 40.0,
        "rate": 4.0,
        "remaining_s": 15.0,
    }


def test_the_time_left_is_not_guessed_while_images_may_be_added() -> None:
    pace = RateWindow(since_ms=0, done_before=0, until_ms=None)
    shown = batch_progress(progress(rate_window=pace, sealed=False), now_ms=10_000).model_dump()
    assert (shown["rate"], shown["remaining_s"]) == (4.0, None)


@pytest.mark.parametrize("pace", [None, RateWindow(since_ms=10_000, done_before=40, until_ms=None)])
def test_without_anything_done_there_is_no_rate(pace: RateWindow | None) -> None:
    shown = batch_progress(progress(rate_window=pace), now_ms=10_000).model_dump()
    assert (shown["rate"], shown["remaining_s"]) == (None, None)


def test_the_rate_of_an_ended_batch_stands_still() -> None:
    pace = RateWindow(since_ms=0, done_before=0, until_ms=10_000)
    shown = batch_progress(progress(succeeded=90, rate_window=pace), now_ms=99_000).model_dump()
    assert (shown["rate"], shown["remaining_s"]) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("total", "succeeded", "percent"), [(100_000, 99_999, 99.99), (1, 1, 100.0), (0, 0, 0.0)]
)
def test_a_hundred_percent_says_that_nothing_is_left(
    total: int, succeeded: int, percent: float
) -> None:
    found = batch_progress(progress(total=total, succeeded=succeeded, failed=0), 0)
    assert found.percent == percent
