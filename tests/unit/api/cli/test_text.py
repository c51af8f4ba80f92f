"""Words and layers as the command line shows them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from api.cli.escaping import escaped
from api.cli.freeze_report import MOST_LAYERS, grouped, show_freeze
from api.cli.job_view import elapsed
from api.cli.output import console
from api.client.reading import any_job
from api.client.uploads import path_text
from tests.support.command_line import FROZEN, job
from worker.contract.freezes import FreezeResult, Layer

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ({"started_at": None}, "-"),
        ({"started_at": "2026-11-23T05:59:00Z", "finished_at": None}, "1 min 0 s"),
        ({"started_at": "2026-11-23T05:00:00Z", "finished_at": "2026-11-23T05:00:02Z"}, "2.0 s"),
    ],
)
def test_elapsed_times(times: dict[str, Any], shown: str) -> None:
    assert elapsed(any_job(job(**times)), NOW) == shown


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
    assert escaped(value) == shown


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
