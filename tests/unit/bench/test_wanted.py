"""The numbers to reach, and the verdicts."""

import pytest

from tests.bench.rounds import Round
from tests.bench.table import Table
from tests.bench.wanted import MANY, ONE, Measured, Wanted, judge, wanted


def rounds(*rates: float, p50_ms: float | None = None) -> list[Round]:
    return [Round(rate=rate, images=1, p50_ms=p50_ms) for rate in rates]


def measured(ours: float, theirs: float) -> Measured:
    return {MANY: {"permafrost": rounds(ours), "litserve": rounds(theirs)}}


@pytest.mark.parametrize(("ours", "holds"), [(124, False), (125, True), (200, True)])
def test_a_rate_must_be_at_least_so_many_times_another(ours: float, holds: bool) -> None:
    table = Table()
    found = judge(table, measured(ours, 100), wanted(None), [])
    assert found["litserve"]["holds"] is holds
    assert table.holds is holds


@pytest.mark.parametrize(("ours", "holds"), [(1.0, True), (1.1, True), (1.2, False), (None, False)])
def test_a_latency_must_be_at_most_so_many_times_another(ours: float | None, holds: bool) -> None:
    latencies = {ONE: {"permafrost": rounds(1, p50_ms=ours), "flask": rounds(9, p50_ms=1.0)}}
    table = Table()
    assert judge(table, latencies, wanted(None), [])["one-flask"]["holds"] is holds
    assert table.holds is holds


def test_what_was_not_measured_is_left_out() -> None:
    table = Table()
    assert set(judge(table, measured(200, 100), wanted(1.2), [])) == {"litserve"}
    assert len(table.rows) == 1


def test_what_a_graph_is_not_asked_for_is_told_without_a_verdict() -> None:
    table = Table()
    found = judge(table, measured(1, 100), wanted(None), {"litserve"})
    assert found["litserve"]["holds"] is None
    assert found["litserve"]["ratio"] == 0.01
    assert table.holds


def test_folders_with_the_other_runtime_are_judged_where_a_number_is_asked_for() -> None:
    done = {MANY: {"folder-onnx": rounds(150), "limit": rounds(100)}}
    for least, holds in ((None, None), (1.2, True), (1.7, False)):
        assert judge(Table(), done, wanted(least), [])["folder-onnx"]["holds"] is holds


def test_the_numbers_are_those_of_the_task() -> None:
    asked = {
        one.name: one.least if one.least is not None else one.most
        for one in wanted(1.2)
        if one.bound
    }
    assert asked == {
        "litserve": 1.25,
        "litserve-onnx": 1.6,
        "celery": 2.0,
        "one-flask": 1.1,
        "one-litserve": 0.85,
        "folder": 0.9,
        "folder-onnx": 1.2,
        "bundle": 0.75,
        "bundle-alone": 0.75,
    }


def test_names_are_given_once() -> None:
    names = [one.name for one in wanted(None)]
    assert len(names) == len(set(names))


def test_the_middle_round_decides() -> None:
    one = Wanted(name="x", what="", part=MANY, above="a", below="b", least=1.0)
    ratio = one.ratio({MANY: {"a": rounds(90, 110, 120), "b": rounds(100, 100, 100)}})
    assert ratio is not None
    assert one.holds(ratio) is True
