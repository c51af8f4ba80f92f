"""How long a turn lasts."""

import pytest

from tests.bench.side_by_side import BUNDLE, BUNDLING, turn_seconds


@pytest.mark.parametrize(("rate", "seconds"), [(733.0, 3.0), (171.0, 3.0), (51.2, 10.0)])
def test_a_turn_is_long_enough_for_a_slow_graph(rate: float, seconds: float) -> None:
    assert turn_seconds(3.0, rate) == pytest.approx(seconds, rel=0.01)


def test_what_is_under_way_at_the_end_of_a_turn_is_a_quarter_of_it_at_most() -> None:
    assert turn_seconds(3.0, 20.0) * 20.0 >= 4 * BUNDLE * BUNDLING
