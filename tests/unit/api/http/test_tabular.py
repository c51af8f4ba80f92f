"""Tables of results: read back as they were, and harmless in a spreadsheet."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.tabular import COLUMNS, csv_lines, json_lines, row_json
from worker.jobs.batches import ResultRow
from worker.jobs.records import PinnedModel

MODEL = PinnedModel(name="tiny", version=3, sha256="ab" * 32)


def shown(*rows: ResultRow) -> list[dict[str, Any]]:
    return [row_json(row, MODEL) for row in rows]


def as_csv(*rows: ResultRow) -> list[dict[str, str]]:
    text = "".join(csv_lines(shown(*rows)))
    return list(csv.DictReader(io.StringIO(text, newline="")))


def classified(path: bytes, label: str = "cat") -> ResultRow:
    return ResultRow(1, path, [[label, 0.97], ["other", 0.03]], None)


def test_a_row_has_what_is_needed_to_use_it_alone() -> None:
    assert shown(classified(b"a/b.jpg")) == [
        {
            "path": "a/b.jpg",
            "status": "succeeded",
            "label": "cat",
            "score": 0.97,
            "predictions": [{"label": "cat", "score": 0.97}, {"label": "other", "score": 0.03}],
            "error": None,
            "model": "tiny",
            "version": 3,
            "sha256": "ab" * 32,
        }
    ]


def test_a_failed_row_says_why() -> None:
    error = {"code": "truncated", "message": "The image is cut off."}
    (row,) = shown(ResultRow(1, b"a.jpg", None, error))
    assert row["status"] == "failed"
    assert row["error"] == error
    assert (row["label"], row["score"], row["predictions"]) == (None, None, None)
    (cells,) = as_csv(ResultRow(1, b"a.jpg", None, error))
    assert json.loads(cells["error"]) == error
    assert cells["label"] == cells["score"] == cells["predictions"] == ""


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=8))
def test_csv_and_json_lines_give_back_every_path(paths: list[bytes]) -> None:
    rows = [classified(path) for path in paths]
    expected = [row["path"] for row in shown(*rows)]
    assert [row["path"].removeprefix("'") for row in as_csv(*rows)] == [
        path.removeprefix("'") for path in expected
    ]
    lines = "".join(json_lines(shown(*rows))).splitlines()
    assert [json.loads(line)["path"] for line in lines] == expected


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_is_a_formula(start: str) -> None:
    (cells,) = as_csv(classified(f"{start}cmd|' /C calc'!A0.jpg".encode(), label=f"{start}SUM(A1)"))
    assert cells["path"].startswith(f"'{start}")
    assert cells["label"].startswith(f"'{start}")


def test_numbers_stay_numbers() -> None:
    (cells,) = as_csv(ResultRow(1, b"a.jpg", [["cat", -0.5]], None))
    assert float(cells["score"]) == -0.5


def test_a_name_that_is_not_utf_8_is_shown_with_its_bytes() -> None:
    (row,) = shown(classified(b"caf\xe9.jpg"))
    assert row["path"] == "caf\\xe9.jpg"


def test_a_path_with_line_breaks_is_one_row() -> None:
    rows = as_csv(classified(b"a\nb.jpg"), classified("a\u2028b\r\n.jpg".encode()))
    assert [row["path"] for row in rows] == ["a\nb.jpg", "a\u2028b\r\n.jpg"]
    assert len("".join(json_lines(shown(classified("\u2028\x85".encode())))).splitlines()) == 1


def test_an_empty_table_has_a_header() -> None:
    assert "".join(csv_lines([])).rstrip("\r\n").split(",") == list(COLUMNS)
    assert "".join(json_lines([])) == ""


def test_many_rows_come_in_pieces() -> None:
    rows = shown(*[classified(b"%d.jpg" % n) for n in range(450)])
    assert len(list(csv_lines(rows))) == 3
    assert "".join(csv_lines(rows)).count("\r\n") == 451
