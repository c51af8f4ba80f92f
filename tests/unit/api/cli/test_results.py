"""Result files: what a spreadsheet, pandas and the next program read."""

import csv
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from api.cli.results_table import (
    COLUMNS,
    OutputError,
    Row,
    check_output,
    in_order,
    safe_cell,
    write_results,
)
from api.client.reading import prediction_job
from tests.support.command_line import job
from worker.contract.predictions import Prediction
from worker.contract.problems import Fault
from worker.errors import InvalidRequestError

GOOD = Row(
    path="photos/a.jpg",
    status="succeeded",
    label="cat",
    score=0.1 + 0.2,
    predictions=[
        Prediction(label="cat", score=0.1 + 0.2),
        Prediction(label="Hündin, alt", score=0.5),
    ],
)
BAD = Row.failure("=x.jpg", "truncated", 'It is "cut"\noff.')


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("a=1", "a=1"),
        ("", ""),
        (" =1", " =1"),
        ("'quoted", "'quoted"),
    ],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert safe_cell(text) == cell


def test_csv_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_results(path, [GOOD, BAD])
    first, second = read_csv(path)
    assert list(first) == list(COLUMNS)
    assert float(first["score"]) == GOOD.score
    assert json.loads(first["predictions"]) == GOOD.as_json()["predictions"]
    assert first["error"] == ""
    assert second["path"] == "'=x.jpg"
    assert second["error"] == 'truncated: It is "cut"\noff.'
    assert second["score"] == second["predictions"] == second["label"] == ""


@pytest.mark.parametrize(
    "name", ["a,b.jpg", 'a"b.jpg', "a\nb.jpg", "a\rb.jpg", "a;b.jpg", " a.jpg ", "ü猫.jpg"]
)
def test_any_name_survives_csv(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out.csv"
    write_results(path, [Row(path=name, status="succeeded", label=name, score=1.0)])
    (row,) = read_csv(path)
    assert (row["path"], row["label"]) == (name, name)


def test_labels_that_begin_as_formulas_are_safe_too(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_results(path, [Row(path="a", status="succeeded", label="=HYPERLINK(1)", score=-1.5)])
    (row,) = read_csv(path)
    assert row["label"] == "'=HYPERLINK(1)"
    assert row["score"] == "-1.5"


def test_json_lines_hold_the_columns_in_order(tmp_path: Path) -> None:
    path = tmp_path / "out.JSONL"
    write_results(path, [GOOD, BAD])
    first, second = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert list(first) == list(COLUMNS)
    assert first["error"] is None
    assert second["error"] == {"code": "truncated", "message": 'It is "cut"\noff.'}


def test_a_surrogate_from_a_server_crashes_nothing(tmp_path: Path) -> None:
    row = Row(path="a", status="succeeded", label="\udce9", score=1.0)
    for name in ("a.csv", "a.jsonl"):
        write_results(tmp_path / name, [row])
        assert r"\udce9" in (tmp_path / name).read_text("utf-8")


def test_a_file_replaces_the_one_before_and_has_usual_rights(tmp_path: Path) -> None:
    path, plain = tmp_path / "out.csv", tmp_path / "plain"
    path.write_text("before")
    plain.touch()
    write_results(path, [GOOD])
    assert len(read_csv(path)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert {entry.name for entry in tmp_path.iterdir()} == {"out.csv", "plain"}


def test_a_disk_that_refuses_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match="No space left on device"):
        write_results(tmp_path / "out.csv", [GOOD])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out", "out.txt", "out.csv.gz", ".csv"])
def test_the_suffix_says_the_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"\.csv or \.jsonl"):
        check_output(tmp_path / name)


def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    check_output(tmp_path / "out.csv")
    with pytest.raises(InvalidRequestError, match="is not there"):
        check_output(tmp_path / "none" / "out.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidRequestError, match="is a folder"):
        check_output(tmp_path / "folder.csv")


def test_a_job_without_predictions_is_still_a_row() -> None:
    empty: dict[str, Any] = {"predictions": []}
    for result in (None, empty):
        row = Row.of_job("a", prediction_job(job(result=result)))
        assert (row.status, row.label, row.error) == ("succeeded", None, None)
    error = Row.of_job("a", prediction_job(job(status="cancelled"))).error
    assert error == Fault(code="cancelled", message="The job was cancelled.")


def test_rows_get_their_order_with_no_more_in_memory_than_that_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def row(name: str) -> Row:
        return Row(path=name, status="succeeded")

    def ordered(given: str, names: str, more: str = "") -> str:
        found = in_order(map(row, given), [row(name) for name in more], names)
        return "".join(one.path for one in found)

    assert ordered("badcfe", "abcdef") == "abcdef"
    assert ordered("badf", "abcdef", more="ce") == "abcdef"
    assert ordered("abxd", "abcd") == "abdx"
    assert ordered("ab", "abcd", more="z") == "abz"
    assert ordered("", "abcd") == ""
    monkeypatch.setattr("api.cli.results_table._MOST_WAITING", 2)
    assert sorted(ordered("fedcba", "abcdef")) == [*"abcdef"]
    assert sorted(ordered("bcdef", "abcdef")) == [*"bcdef"]
