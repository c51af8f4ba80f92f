"""Turns, spreads and ratios."""

from dataclasses import dataclass, field

import pytest

from tests.bench.rounds import Round, Spread, budget, interleaved, ratios, spread


@dataclass
class Noting:
    """A contender that notes when it was its turn."""

    key: str
    turns: list[str] = field(default_factory=list)
    title: str = ""

    def turn(self, seconds: float) -> Round:
        assert seconds > 0
        self.turns.append(self.key)
        return Round(rate=float(len(self.turns)), images=1)


def test_everybody_has_as_many_turns_and_each_round_begins_with_another() -> None:
    turns: list[str] = []
    done = interleaved([Noting(key, turns) for key in "abcd"], 2, 1.0)
    assert turns == [*"abcd", *"cdab"]
    assert {key: len(rounds) for key, rounds in done.items()} == dict.fromkeys("abcd", 2)


def test_more_rounds_than_contenders_rotate_too() -> None:
    turns: list[str] = []
    interleaved([Noting(key, turns) for key in "ab"], 4, 1.0)
    assert turns == [*"ab", *"ba", *"ab", *"ba"]


def test_a_spread_is_the_median_between_least_and_greatest() -> None:
    assert spread([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0)
    assert spread([1234.5, 1200, 1300]).shown() == "1,234 (1,200..1,300)"
    assert spread([1.0, 2.0, 4.0]).shown(2) == "2.00 (1.00..4.00)"


def test_ratios_are_those_of_each_round() -> None:
    # The machine was half as fast in the second round: of medians the ratio would be 1.5.
    assert ratios([200, 110, 220], [100, 50, 110]) == Spread(2.0, 2.0, 2.2)


def test_rounds_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


def test_what_did_nothing_is_no_division_by_zero() -> None:
    assert ratios([1.0], [0.0]).median == 0.0
    assert budget([Round(rate=0, images=0, cpu_ms={"api": 5.0})]) == {"api": 0.0}


def test_a_budget_weighs_rounds_by_their_images() -> None:
    rounds = [
        Round(rate=1, images=10, cpu_ms={"api": 10.0, "redis": 5.0}),
        Round(rate=1, images=30, cpu_ms={"api": 70.0}),
    ]
    assert budget(rounds) == {"api": 2.0, "redis": 0.125}
