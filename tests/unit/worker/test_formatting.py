"""Sizes, times, numbers and scores as a person reads them."""

from datetime import UTC, datetime

import pytest

from worker import formatting

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (8_500_000, "8.5 MB"),
        (25_598_122, "25.6 MB"),
        (3.2e9, "3.2 GB"),
        (5e12, "5.0 TB"),
        (7e15, "7000.0 TB"),
    ],
)
def test_sizes(count: float | None, shown: str) -> None:
    assert formatting.size(count) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (16 * 1024, "16 KiB"),
        (20 * 2**20, "20 MiB"),
        (1.5 * 2**30, "1.5 GiB"),
        (2**42, "4 TiB"),
        (2**52, "4096 TiB"),
    ],
)
def test_limits_in_binary_units(count: float, shown: str) -> None:
    assert formatting.binary_size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (-1, "0 ms"),
        (0.0854, "85 ms"),
        (2.44, "2.4 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (86400 * 4 + 3600 * 3, "4 d 3 h"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert formatting.duration(seconds) == shown


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-11-23T05:59:59.700Z", "just now"),
        ("2026-11-23T05:59:30Z", "30 s ago"),
        ("2026-11-23T05:03:00Z", "57 min ago"),
        ("2026-11-23T08:00:00+05:00", "3 h ago"),
        ("2026-11-20T06:00:00Z", "3 d ago"),
        ("2027-01-01T00:00:00Z", "just now"),
    ],
)
def test_ages(moment: str, shown: str) -> None:
    assert formatting.age(datetime.fromisoformat(moment), NOW) == shown
    assert formatting.age(None) == "-"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.97, "97.0%"), (1, "100.0%"), (0, "0.0%"), (12.3456, "12.35"), (-3, "-3")],
)
def test_scores_are_percents_where_they_can_be(value: float | None, shown: str) -> None:
    assert formatting.score(value) == shown
