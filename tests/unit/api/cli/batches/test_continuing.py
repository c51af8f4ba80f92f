"""The same command continues its batch, after Ctrl-C and after errors."""

from itertools import chain
from pathlib import Path

import httpx
import pytest

from api.cli import image_upload
from api.client.operations import many
from tests.support.batch_commands import B0, NAMES, interrupt_at
from tests.support.batch_server import BatchServer, problem, ulid
from tests.support.command_line import JPEG, rows, run


@pytest.fixture
def _small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "REQUEST_IMAGES", 2)
    monkeypatch.setattr(image_upload, "_AT_ONCE", 1)


def stop_sending(server: BatchServer, after: int) -> None:
    """Fail for good after some requests with images, as if the network had gone."""

    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/images") and len(server.sent) >= after:
            return problem(500, "internal_error", "Something went wrong inside.")
        return None

    server.answer_before = answer


@pytest.mark.usefixtures("_small_requests")
def test_the_same_command_continues_its_batch_and_sends_only_what_is_missing(
    server: BatchServer, photos: Path
) -> None:
    stop_sending(server, after=2)
    found = run("classify", "photos", "--output", "out.csv")
    assert found.exit_code == 1
    assert "Something went wrong inside." in found.stderr
    assert f"Batch {B0} is kept: the same command sends only what is missing" in found.stderr
    assert not Path("out.csv").exists()
    server.answer_before = lambda _: None
    found = run("classify", "photos", "--output", "out.csv")
    assert found.exit_code == 0
    assert f"Continuing batch {B0} of 10 images, 4 of which it has." in found.stderr
    assert list(chain(*server.sent)) == NAMES
    assert len(server.batches) == 1


@pytest.mark.usefixtures("_small_requests")
def test_ctrl_c_while_sending_says_how_to_go_on_and_how_to_stop(
    server: BatchServer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.batch_run._LOOK_S", 0.0)  # look at the batch after every request
    interrupt_at(server, "GET", f"/jobs/{B0}", number=2)
    found = run("classify", "photos", "--json", "--server", "http://localhost:9")
    assert (found.exit_code, found.stdout) == (130, "")
    assert (
        f"Batch {B0} is kept: the same command sends only what is missing, "
        f"`./permafrost cancel {B0} --server http://localhost:9` ends it." in found.stderr
    )
    assert not server.the_batch().sealed
    server.answer_before = lambda _: None
    assert run("classify", "photos", "--server", "http://localhost:9").exit_code == 0
    assert list(chain(*server.sent)) == NAMES


def test_ctrl_c_while_waiting_says_that_the_batch_goes_on(
    server: BatchServer, photos: Path
) -> None:
    interrupt_at(server, "GET", f"/jobs/{B0}")
    found = run("classify", "photos")
    assert found.exit_code == 130
    assert (
        f"Batch {B0} goes on: the same command follows it, `./permafrost cancel {B0}` ends it."
        in (found.stderr)
    )
    server.answer_before = lambda _: None
    found = run("classify", "photos", "--json")
    assert (found.exit_code, len(rows(found))) == (0, 10)
    assert len(server.sent) == 1


def test_ctrl_c_before_there_is_a_batch_says_so(server: BatchServer, photos: Path) -> None:
    interrupt_at(server, "POST", "/batches")
    found = run("classify", "photos")
    assert found.exit_code == 130
    assert "Stopped; nothing was sent." in found.stderr


def test_a_batch_that_has_everything_is_only_sealed(server: BatchServer, photos: Path) -> None:
    stop_sealing = [problem(500, "internal_error", "Something went wrong inside.")]
    server.answer_before = lambda request: (
        stop_sealing.pop() if stop_sealing and request.url.path.endswith("/seal") else None
    )
    assert run("classify", "photos").exit_code == 1
    assert run("classify", "photos").exit_code == 0
    assert len(server.sent) == 1
    assert server.the_batch().sealed


def test_a_batch_that_has_ended_gives_its_results_again(server: BatchServer, photos: Path) -> None:
    first = run("classify", "photos", "--json")
    found = run("classify", photos, "--json")
    assert found.exit_code == 0
    assert rows(found) == rows(first)
    assert f"Batch {B0} has classified these images before" in found.stderr
    assert (len(server.batches), len(server.sent)) == (1, 1)


@pytest.mark.parametrize("change", ["added", "removed", "changed", "top", "new"])
def test_another_batch_is_begun_where_something_changed(
    server: BatchServer, photos: Path, change: str
) -> None:
    assert run("classify", "photos").exit_code == 0
    options = []
    if change == "added":
        (photos / "new.jpg").write_bytes(JPEG)
    elif change == "removed":
        (photos / "0.jpg").unlink()
    elif change == "changed":
        (photos / "0.jpg").write_bytes(JPEG + b"other")
    else:
        options = ["--top", "2"] if change == "top" else ["--new"]
    found = run("classify", "photos", "--json", *options)
    assert found.exit_code == 0
    assert len(server.batches) == 2
    assert len(rows(found)) == len(server.batches["b1"].images)


def test_a_new_batch_that_was_stopped_is_continued_by_the_same_command(
    server: BatchServer, photos: Path
) -> None:
    assert run("classify", "photos").exit_code == 0
    interrupt_at(server, "POST", f"/batches/{ulid('b1')}/seal")
    assert run("classify", "photos", "--new").exit_code == 130
    server.answer_before = lambda _: None
    assert run("classify", "photos", "--new").exit_code == 0
    assert (len(server.batches), len(server.sent)) == (2, 2)


@pytest.mark.parametrize("end", ["cancelled", "failed", "expired", "sealed early"])
def test_a_batch_that_is_of_no_use_any_more_is_left_behind(
    server: BatchServer, photos: Path, end: str
) -> None:
    assert run("classify", "photos").exit_code == 0
    batch = server.the_batch()
    if end == "expired":
        server.expired.add(batch.id)
    elif end == "sealed early":
        del batch.images["5.jpg"]
    else:
        batch.status = end
    found = run("classify", "photos", "--json")
    assert (found.exit_code, len(rows(found))) == (0, 10)
    assert set(server.batches["b1"].images) == set(NAMES)
