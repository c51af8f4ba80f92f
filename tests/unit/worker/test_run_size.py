"""Run sizes: the size that costs least by an image is found and kept to."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.inference.run_size import RunSizes


def _run(pieces: RunSizes, waiting: int, cost: Callable[[int], float]) -> list[int]:
    """Run a micro-batch whose images cost so much each; return the sizes of its pieces."""
    sizes = []
    while waiting:
        size = pieces.next(waiting)
        pieces.ran(size, size * cost(size))
        sizes.append(size)
        waiting -= size
    return sizes


def _usual(pieces: RunSizes, waiting: int, cost: Callable[[int], float]) -> tuple[int, ...]:
    """Return the pieces that a micro-batch is mostly run in, once the costs are known."""
    for _ in range(500):
        _run(pieces, 32, cost)
    batches = Counter(tuple(_run(pieces, waiting, cost)) for _ in range(20))
    return batches.most_common(1)[0][0]


@given(st.integers(1, 64), st.lists(st.integers(1, 64), min_size=1, max_size=60))
def test_every_image_is_run_and_never_more_than_wait(most: int, batches: list[int]) -> None:
    pieces = RunSizes(most)
    for waiting in batches:
        sizes = _run(pieces, min(waiting, most), lambda size: 1 / size)
        assert sum(sizes) == min(waiting, most)
        assert min(sizes) >= 1


@pytest.mark.parametrize("best", [1, 2, 4, 8, 16, 32])
def test_the_cheapest_size_is_found(best: int) -> None:
    usual = _usual(RunSizes(32), 32, lambda size: 1 + abs(size - best))
    assert usual == (best,) * (32 // best)


def test_pieces_are_alike_so_that_none_is_a_small_rest() -> None:
    assert _usual(RunSizes(32), 18, lambda size: 1 + abs(size - 8)) == (9, 9)


@pytest.mark.parametrize("waiting", [3, 7, 13, 18, 31])
def test_what_waits_is_run_at_once_where_a_run_is_dear(waiting: int) -> None:
    # Many weights: reading them costs as much as six images, whatever the size of the run.
    assert _usual(RunSizes(32), waiting, lambda size: 6 / size + 1) == (waiting,)


def test_beyond_the_sizes_that_were_met_an_image_costs_what_it_does_there() -> None:
    pieces = RunSizes(32)
    for _ in range(100):
        _run(pieces, 16, lambda size: 6 / size + 1)
    assert pieces.next(16) == 16
    assert [pieces.next(18) for _ in range(3)] == [18] * 3


def test_what_the_first_run_of_a_size_prepares_does_not_count_against_it() -> None:
    pieces, met = RunSizes(32), set[int]()

    def cost(size: int) -> float:
        slow = 1000.0 if size not in met else 0.0
        met.add(size)
        return 1 + abs(size - 8) + slow

    for _ in range(30):
        _run(pieces, 32, cost)
    assert pieces.next(32) == 8


def test_another_size_becomes_the_best_when_the_machine_changes() -> None:
    pieces = RunSizes(32)
    assert _usual(pieces, 32, lambda size: 1 + abs(size - 4)) == (4,) * 8
    assert _usual(pieces, 32, lambda size: 40 - size) == (32,)


def test_a_single_image_is_run_at_once() -> None:
    pieces = RunSizes(32)
    assert [_run(pieces, 1, float) for _ in range(3)] == [[1], [1], [1]]


@pytest.mark.parametrize(
    ("cost", "efficient"),
    [
        (lambda size: 1 + abs(size - 8), 8),
        (lambda size: 1 + size / 1000, 1),
        (lambda size: 6 / size + 1, 64),
        (lambda size: 0.4 / size + 1 + size / 500, 4),
    ],
)
def test_the_least_size_that_is_nearly_the_best_is_efficient(
    cost: Callable[[int], float], efficient: int
) -> None:
    pieces = RunSizes(64)
    for _ in range(30):
        _run(pieces, 64, cost)
    assert pieces.efficient == efficient


def test_a_size_that_may_be_better_still_counts_as_efficient_until_it_is_measured() -> None:
    pieces = RunSizes(64)
    assert pieces.efficient == 1
    for waiting, expected in ((1, 2), (4, 6), (16, 32), (64, 64)):
        for _ in range(20):
            _run(pieces, waiting, lambda size: 6 / size + 1)
        assert pieces.efficient == expected
