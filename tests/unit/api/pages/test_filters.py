"""Values as the pages write them."""

import time

import pytest

from api.pages import filters
from tests.support.page_document import TIMES
from tests.support.shown_pages import NOW_MS


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (filters.share(0.5), "50.00%"),
        (filters.share(-3), "0.00%"),
        (filters.share(12), "100.00%"),
        (filters.duration(85), "85 ms"),
        (filters.age(time.time() * 1000 - 200_000_000), "2 d ago"),
        (filters.moment(NOW_MS), "2026-11-23 06:40:00 UTC"),
        (filters.milliseconds("2026-11-23T06:40:00.000Z"), NOW_MS),
        (filters.tiny(1.19e-7), "1.2e-7"),
        (filters.tiny(0), "0"),
        (filters.shape([None, 28, 28]), f"? {TIMES} 28 {TIMES} 28"),
        (filters.shape([]), "scalar"),
        (filters.shape(None), "unknown shape"),
    ],
)
def test_values_as_a_person_reads_them(shown: object, expected: object) -> None:
    assert shown == expected
