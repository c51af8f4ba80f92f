"""How far a batch is, as a person is told."""

import pytest

from worker.jobs.records import Pace, Progress


def progress(**about: object) -> Progress:
    return Progress(**{"total": 100, "succeeded": 30, "failed": 10, **about})  # type: ignore[arg-type]


def test_rate_and_time_left_follow_from_what_ended_lately() -> None:
    pace = Pace(since_ms=5_000, done_then=20, until_ms=None)
    shown = progress(pace=pace, skipped=3).of_batch(now_ms=10_000)
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
    pace = Pace(since_ms=0, done_then=0, until_ms=None)
    shown = progress(pace=pace, sealed=False).of_batch(now_ms=10_000)
    assert (shown["rate"], shown["remaining_s"]) == (4.0, None)


@pytest.mark.parametrize("pace", [None, Pace(since_ms=10_000, done_then=40, until_ms=None)])
def test_without_anything_done_there_is_no_rate(pace: Pace | None) -> None:
    shown = progress(pace=pace).of_batch(now_ms=10_000)
    assert (shown["rate"], shown["remaining_s"]) == (None, None)


def test_the_rate_of_an_ended_batch_stands_still() -> None:
    pace = Pace(since_ms=0, done_then=0, until_ms=10_000)
    shown = progress(succeeded=90, pace=pace).of_batch(now_ms=99_000)
    assert (shown["rate"], shown["remaining_s"]) == (10.0, 0.0)


def test_a_hundred_percent_says_that_nothing_is_left() -> None:
    assert progress(total=100_000, succeeded=99_999, failed=0).of_batch(0)["percent"] == 99.99
    assert progress(total=1, succeeded=1, failed=0).of_batch(0)["percent"] == 100.0
    assert progress(total=0, succeeded=0, failed=0).of_batch(0)["percent"] == 0.0
