"""The results of a batch: read by its id, torn in the middle, and its images tried again."""

import csv
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.batch_commands import B0, NAMES
from tests.support.batch_server import BatchServer
from tests.support.command_line import JPEG, rows, run


def test_failures_are_tried_again_when_asked(server: BatchServer, photos: Path) -> None:
    bad = photos / "3.jpg"
    bad.write_bytes(JPEG + b"bad")
    assert run("classify", "photos").exit_code == 1
    assert run("classify", "photos").exit_code == 1
    server.the_batch().images["3.jpg"] = JPEG  # whatever made it fail is over
    found = run("classify", "photos", "--retry", "--json")
    assert (found.exit_code, len(rows(found))) == (0, 10)
    assert f"Batch {B0}: 1 image is tried again." in found.stderr
    assert "10 images, 1 of them tried again in " in found.stderr
    assert len(server.sent) == 1


def test_results_of_a_batch_are_given_by_its_id(server: BatchServer, photos: Path) -> None:
    (photos / "3.jpg").write_bytes(JPEG + b"bad")
    assert run("classify", "photos").exit_code == 1
    found = run("results", "b0", "--json", "--output", "again.csv")
    assert (found.exit_code, len(rows(found))) == (1, 10)
    assert "10 images: 9 classified, 1 failed. Results are in again.csv." in found.stderr
    with Path("again.csv").open(newline="", encoding="utf-8") as file:
        assert [row["path"] for row in csv.DictReader(file)] == NAMES
    plain = Path("again.csv").read_bytes()
    run("results", "b0", "--output", "again.csv", "--bom")
    assert Path("again.csv").read_bytes() == b"\xef\xbb\xbf" + plain


def test_a_batch_that_still_runs_says_so_with_its_results(
    server: BatchServer, photos: Path
) -> None:
    assert run("classify", "photos").exit_code == 0
    batch = server.the_batch()
    batch.status, batch.sealed = "running", False
    found = run("results", "b0")
    assert found.exit_code == 0
    assert f"Job {B0} is still running." in found.stderr


def test_a_batch_is_retried_by_its_id(server: BatchServer, photos: Path) -> None:
    (photos / "3.jpg").write_bytes(JPEG + b"bad")
    assert run("classify", "photos").exit_code == 1
    server.the_batch().images["3.jpg"] = JPEG
    found = run("retry", "b0")
    assert found.exit_code == 0
    assert f"Batch {B0}: its failed images are tried again." in found.stderr
    assert run("retry", "b0", "--wait").exit_code == 0
    assert server.the_batch().status == "succeeded"


def test_results_go_on_where_the_connection_was_lost(
    server: BatchServer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.client.waits._FIRST_PAUSE_S", 0.001)
    whole: list[bytes] = []

    class Torn(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield whole[0][: len(whole[0]) // 2]
            raise httpx.ReadError("reset")

    def answer(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("/results") or whole:
            return None
        whole.append(server._answer(request).content)
        return httpx.Response(200, stream=Torn())

    server.answer_before = answer
    found = run("classify", "photos", "--json")
    assert found.exit_code == 0
    assert [row["path"] for row in rows(found)] == NAMES


def test_a_name_with_a_line_separator_does_not_break_a_row(
    server: BatchServer, photos: Path
) -> None:
    (photos / "a\u2028b\x85c.jpg").write_bytes(JPEG)
    found = run("classify", "photos", "--json")
    assert found.exit_code == 0
    assert len(rows(found)) == 11
