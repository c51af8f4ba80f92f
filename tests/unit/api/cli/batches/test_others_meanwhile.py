"""What another command, a person or the server does to a batch while it is sent."""

from pathlib import Path

import httpx
import pytest

from tests.support.batch_commands import B0, NAMES
from tests.support.batch_server import BatchServer, problem
from tests.support.command_line import JPEG, rows, run


def sealed_by_another(server: BatchServer, *, complete: bool) -> None:
    def answer(request: httpx.Request) -> None:
        if request.method == "POST" and request.url.path.endswith("/images"):
            batch = server.the_batch()
            if complete:
                batch.images = dict.fromkeys(NAMES, JPEG)
            batch.sealed = True

    server.answer_before = answer


def test_two_runs_of_one_command_share_the_work(server: BatchServer, photos: Path) -> None:
    sealed_by_another(server, complete=True)
    found = run("classify", "photos", "--json")
    assert (found.exit_code, len(rows(found))) == (0, 10)


def test_a_batch_that_another_seals_too_early_is_an_error(
    server: BatchServer, photos: Path
) -> None:
    sealed_by_another(server, complete=False)
    found = run("classify", "photos")
    assert found.exit_code == 1
    assert "was sealed before it had every image" in found.stderr


def test_a_batch_that_another_cancels_leaves_what_was_done(
    server: BatchServer, photos: Path
) -> None:
    def answer(request: httpx.Request) -> None:
        if request.url.path.endswith("/seal"):
            server.the_batch().status = "cancelled"

    server.answer_before = answer
    found = run("classify", "photos", "--output", "out.csv")
    assert found.exit_code == 1
    assert f"Batch {B0} was cancelled before all images were classified." in found.stderr
    assert Path("out.csv").exists()


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [(410, "expired", 1), (404, "not_found", 1), (500, "internal_error", 1), (400, "x", 2)],
)
def test_what_stops_a_batch_is_a_sentence_and_writes_nothing(
    server: BatchServer, photos: Path, status: int, code: str, exit_code: int
) -> None:
    server.answer_before = lambda request: (
        problem(status, code, "It is over.") if request.url.path.endswith("/results") else None
    )
    found = run("classify", "photos", "--output", "out.csv")
    assert (found.exit_code, found.stdout) == (exit_code, "")
    assert "It is over." in found.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["photos"]


def test_a_batch_of_which_nothing_could_be_done_says_why(server: BatchServer, photos: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith(f"/jobs/{B0}"):
            return None
        error = {"code": "model_unavailable", "message": "The graph is damaged."}
        job = {**server.job(server.the_batch()), "status": "failed", "error": error}
        return httpx.Response(200, json=job)

    server.answer_before = answer
    found = run("classify", "photos", "--output", "out.csv")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "The graph is damaged." in found.stderr
    assert not Path("out.csv").exists()


def test_where_not_one_image_could_be_sent_each_has_a_row(
    server: BatchServer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    server.answer_before = lambda request: (
        httpx.Response(200, json={**server.job(server.the_batch()), "status": "failed"})
        if request.url.path.endswith("/seal")
        else None
    )
    found = run("classify", "photos", "--json")
    assert found.exit_code == 1
    assert {row["error"]["code"] for row in rows(found)} == {"unreadable"}
    assert len(rows(found)) == 10
