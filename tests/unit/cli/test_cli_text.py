"""Values as a person reads them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from api.cli import text
from api.cli.freeze_report import MOST_LAYERS, grouped, show_freeze
from api.cli.output import console
from api.client.reading import any_job
from api.client.uploads import path_text
from tests.support.command_line import FROZEN, job
from worker.contract.freezes import FreezeResult, Layer

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
    assert text.size(count) == shown


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
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-11-23T05:59:59.700Z", "0 s ago"),
        ("2026-11-23T05:59:30Z", "30 s ago"),
        ("2026-11-23T05:03:00Z", "57 min ago"),
        ("2026-11-23T08:00:00+05:00", "3 h ago"),
        ("2026-11-20T06:00:00Z", "3 d ago"),
        ("2027-01-01T00:00:00Z", "0 s ago"),
    ],
)
def test_ages(moment: str, shown: str) -> None:
    assert text.age(datetime.fromisoformat(moment), NOW) == shown
    assert text.age(None) == "-"


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ({"started_at": None}, "-"),
        ({"started_at": "2026-11-23T05:59:00Z", "finished_at": None}, "1 min 0 s"),
        ({"started_at": "2026-11-23T05:00:00Z", "finished_at": "2026-11-23T05:00:02Z"}, "2.0 s"),
    ],
)
def test_elapsed_times(times: dict[str, Any], shown: str) -> None:
    assert text.elapsed(any_job(job(**times)), NOW) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.97, "97.0%"), (1, "100.0%"), (0, "0.0%"), (12.3456, "12.35"), (-3, "-3")],
)
def test_scores_are_percents_where_they_can_be(value: float | None, shown: str) -> None:
    assert text.score(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain ü猫", "plain ü猫"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\u202eb", r"a\u202eb"),
        ("\udce9", r"\udce9"),
        ("\x9b", r"\x9b"),
        (None, "-"),
        (3, "3"),
    ],
)
def test_what_cannot_be_printed_is_escaped(value: object, shown: str) -> None:
    assert text.printable(value) == shown


def test_paths_that_are_not_utf_8_keep_their_bytes_readable() -> None:
    assert path_text("caf\udce9/猫.jpg") == "caf\\xe9/猫.jpg"


def test_variables_of_one_layer_are_one_row() -> None:
    layers = [
        Layer(name="block1/conv/kernel", shape=[3, 3, 3, 8], parameters=216),
        Layer(name="block1/conv/bias", shape=[8], parameters=8),
        Layer(name="Variable", shape=[], parameters=1),
        Layer(name="Variable_1", shape=None, parameters=0),
    ]
    assert grouped(layers) == [
        ("block1/conv", ["kernel 3x3x3x8", "bias 8"], 224),
        ("Variable", [""], 1),
        ("Variable_1", [""], 0),
    ]


def test_of_many_layers_the_largest_are_shown_and_the_sum_is_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    layers = [{"name": f"l{n}", "shape": [n], "parameters": n} for n in range(100)]
    result = FreezeResult.model_validate({**FROZEN, "layers": layers, "parameters": 4950})
    show_freeze(console(), result)
    shown = capsys.readouterr().out
    assert f"and {100 - MOST_LAYERS} smaller" in shown
    assert " 1,770" in shown
    assert " 4,950" in shown
    assert "l60 " in shown
    assert "l59 " not in shown
