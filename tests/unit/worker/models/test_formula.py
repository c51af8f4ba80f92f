"""What becomes of a pixel, as a person reads it."""

import pytest

from worker.models.formula import factor, formula


@pytest.mark.parametrize(
    ("scale", "mean", "std", "said"),
    [
        (1.0, [0.0], [1.0], "value"),
        (1 / 255, [0.0], [1.0], "value ÷ 255"),
        (1 / 127.5, [1.0], [1.0], "value ÷ 127.5 - 1"),
        (2.0, [0.0], [3.0], "value \N{MULTIPLICATION SIGN} 2 / 3"),
        (1 / 255, [0.5, 0.5, 0.5], [0.25, 0.25, 0.25], "(value ÷ 255 - 0.5) / 0.25"),
        (1.0, [103.9, 116.8, 123.7], [1.0], "value - [103.9, 116.8, 123.7]"),
    ],
)
def test_what_changes_nothing_is_left_out(
    scale: float, mean: list[float], std: list[float], said: str
) -> None:
    assert formula(scale, mean, std) == said


def test_a_factor_is_said_as_a_division_where_that_is_rounder() -> None:
    times = "\N{MULTIPLICATION SIGN}"
    said = [factor(scale) for scale in (1 / 255, 1 / 127.5, 1, 0, 2)]
    assert said == ["÷ 255", "÷ 127.5", f"{times} 1", f"{times} 0", f"{times} 2"]
