"""`classify` with folders and many files against a server that is made up."""

import csv
import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli import image_upload
from api.cli.command_client import CommandClient
from api.client.operations import many
from tests.support.batch_server import BatchServer, problem, ulid
from tests.support.command_line import JPEG, answer_with, rows, run


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> BatchServer:
    made = BatchServer()
    answer_with(monkeypatch, made)
    return made


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with `photos/`: ten images, one of them in `sub/`, and a text."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for number in range(9):
        (folder / f"{number}.jpg").write_bytes(JPEG + bytes([number]))
    (folder / "sub" / "9.png").write_bytes(JPEG + b"9")
    (folder / "notes.txt").write_text("no image")
    return folder


B0 = ulid("b0")
NAMES = [*(f"{number}.jpg" for number in range(9)), "sub/9.png"]


def kinds(server: BatchServer) -> set[str]:
    return {request.url.path.split("/")[2] for request in server.requests}


def interrupt_at(server: BatchServer, method: str, ending: str, *, number: int = 1) -> None:
    """Press Ctrl-C at a request; once."""
    seen = 0

    def answer(request: httpx.Request) -> None:
        nonlocal seen
        if request.method == method and request.url.path.endswith(ending):
            seen += 1
            if seen == number:
                raise KeyboardInterrupt

    server.answer_before = answer


# -- what becomes a batch -----------------------------------------------------------------------


def test_a_folder_becomes_one_batch_with_paths_relative_to_it(
    server: BatchServer, photos: Path
) -> None:
    found = run("classify", "photos", "--model", "pets", "--top", "3", "--output", "out.csv")
    assert found.exit_code == 0
    batch = server.the_batch()
    assert batch.options == {"open": True, "model": "pets@2", "top": 3}
    assert batch.sealed
    assert batch.images == {name: (photos / name).read_bytes() for name in NAMES}
    assert "10 classified, 0 failed. 1 other file passed over." in found.stderr
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["path"] for row in written] == NAMES
    assert {(row["label"], row["model"], row["version"]) for row in written} == {
        ("cat", "pets", "2")
    }


@pytest.mark.parametrize(("count", "kind"), [(8, "predictions"), (9, "batches")])
def test_a_few_files_are_predictions_and_more_are_a_batch(
    server: BatchServer, photos: Path, count: int, kind: str
) -> None:
    run("classify", *(f"photos/{number}.jpg" for number in range(count)))
    assert kinds(server) - {"models", "jobs"} == {kind}


def test_names_in_a_batch_of_several_paths_are_as_they_were_given(
    server: BatchServer, photos: Path
) -> None:
    Path("../x.jpg").write_bytes(JPEG)
    found = run("classify", "photos", "../x.jpg", photos / "0.jpg", "--json")
    assert [row["path"] for row in rows(found)] == [
        *(f"photos/{name}" for name in NAMES),
        "../x.jpg",
        str(photos / "0.jpg"),
    ]


def test_the_rows_on_standard_output_are_json_lines_and_the_file_has_the_same(
    server: BatchServer, photos: Path
) -> None:
    (photos / "3.jpg").write_bytes(JPEG + b"bad")
    found = run("classify", "photos", "--json", "--output", "out.jsonl")
    assert found.exit_code == 1
    assert [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()] == rows(found)
    row = rows(found)[3]
    assert (row["path"], row["status"], row["error"]["code"]) == ("3.jpg", "failed", "truncated")
    assert "9 classified, 1 failed" in found.stderr


def test_many_photographs_are_summed_up_by_label_with_the_first_failures(
    server: BatchServer, photos: Path
) -> None:
    for number in range(60):
        ending = b"bad" if number < 25 else b""
        (photos / f"n{number:03}.jpg").write_bytes(JPEG + ending)
    found = run("classify", "photos")
    assert found.exit_code == 1
    assert re.search(r"^cat\s+45\s+100\.0%\s+97\.0%", found.stdout, re.MULTILINE)
    assert re.search(r"^n000\.jpg\s+The image is cut off", found.stdout, re.MULTILINE)
    assert "and 5 more" in found.stdout
    assert "n050.jpg" not in found.stdout


# -- names --------------------------------------------------------------------------------------


def test_any_name_reaches_the_server_and_comes_back(server: BatchServer, photos: Path) -> None:
    folder = Path("odd")
    names = [
        *("a b.jpg", 'q"uote.jpg', "l\nf.jpg", "c\rr.jpg", "back\\slash.jpg", "per%22cent%0A.jpg"),
        *("=1+1.jpg", "ü猫😀.jpg", "semi;colon=.jpg", "quote'.jpg", " lead.jpg", "trail .jpg"),
        *(
            "C:\\x.jpg",
            "\\\\host\\x.jpg",
            "line\u2028end.jpg",
            "caf\udce9.jpg",
            "\x01.jpg",
            "-.jpg",
        ),
        "x" * 251 + ".jpg",
    ]
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(JPEG)
    found = run("classify", "odd", "--json", "--output", "out.jsonl")
    assert found.exit_code == 0
    expected = {name.replace("\udce9", r"\xe9") for name in names}
    assert set(server.the_batch().images) == expected
    assert {row["path"] for row in rows(found)} == expected
    assert len(rows(found)) == len(names)


# -- sending ------------------------------------------------------------------------------------


def test_images_travel_many_to_a_request_and_a_large_one_alone(
    server: BatchServer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "REQUEST_IMAGES", 4)
    monkeypatch.setattr(many, "REQUEST_BYTES", 1000)
    monkeypatch.setattr(image_upload, "_AT_ONCE", 1)
    (photos / "5.jpg").write_bytes(JPEG + bytes(200_000))
    (photos / "6.jpg").write_bytes(JPEG + bytes(900))
    (photos / "7.jpg").write_bytes(JPEG + bytes(900))
    assert run("classify", "photos").exit_code == 0
    assert server.sent == [
        ["0.jpg", "1.jpg", "2.jpg", "3.jpg"],
        ["4.jpg"],
        ["5.jpg"],
        ["6.jpg"],
        ["7.jpg", "8.jpg", "sub/9.png"],
    ]
    assert server.the_batch().images["5.jpg"] == JPEG + bytes(200_000)


def test_a_file_that_cannot_be_read_is_a_row_and_the_others_are_sent(
    server: BatchServer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "4.jpg":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    found = run("classify", "photos", "--json")
    assert found.exit_code == 1
    assert len(server.the_batch().images) == 9
    fifth = rows(found)[4]
    assert (fifth["path"], fifth["error"]["code"]) == ("4.jpg", "unreadable")
    assert fifth["error"]["message"] == "The file cannot be read: Permission denied."


def test_the_table_is_in_the_order_of_the_paths_however_they_arrived(
    server: BatchServer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shuffle(request: httpx.Request) -> None:
        if request.url.path.endswith("/results"):
            batch = server.the_batch()
            batch.images = dict(sorted(batch.images.items(), reverse=True))

    server.answer_before = shuffle
    monkeypatch.setattr("api.cli.results_table._MOST_WAITING", 20)
    found = run("classify", "photos", "--json", "--output", "t.csv")
    paths = [row["path"] for row in rows(found)]
    assert paths == sorted(paths)
    with Path("t.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == paths


def test_a_busy_server_is_waited_for_as_long_as_it_asks(
    server: BatchServer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("api.client.waits._SPREAD", 0.0)

    def connect(url: str, *, retry_for_s: float) -> CommandClient:
        return CommandClient(url, retry_for_s=retry_for_s, sleep=slept.append)

    monkeypatch.setattr("api.cli.classify.connect", connect)
    busy = [problem(503, "overloaded", "Too much waits.", **{"retry-after": "7"})] * 3

    def answer(request: httpx.Request) -> httpx.Response | None:
        return busy.pop() if busy and request.url.path.endswith("/images") else None

    server.answer_before = answer
    found = run("classify", "photos")
    assert found.exit_code == 0
    assert slept == [7.0] * 3
    assert len(server.the_batch().images) == 10


# -- continuing ---------------------------------------------------------------------------------


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


# -- what others do to the batch meanwhile ------------------------------------------------------


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


# -- a folder that the server reads -------------------------------------------------------------


def test_a_server_on_this_machine_reads_the_folder_itself(
    server: BatchServer, photos: Path
) -> None:
    server.folders = photos.parent

    def answer(_: httpx.Request) -> None:
        for batch in server.batches.values():
            batch.skipped = 1

    server.answer_before = answer
    found = run("classify", "photos", "--json")
    assert (found.exit_code, [row["path"] for row in rows(found)]) == (0, NAMES)
    assert server.the_batch().options == {"folder": str(photos), "model": "pets@2", "top": 5}
    assert "the server reads" in found.stderr
    assert "1 other file passed over" in found.stderr
    assert server.sent == []
    assert run("classify", "photos").exit_code == 0
    assert len(server.batches) == 1


def test_a_server_elsewhere_is_never_asked_for_a_folder_of_this_machine(
    server: BatchServer, photos: Path
) -> None:
    server.folders = photos.parent
    assert run("classify", "photos", "--server", "http://far.example").exit_code == 0
    assert server.the_batch().options["open"] is True


def test_a_folder_that_only_looks_the_same_to_the_server_is_sent(
    server: BatchServer, photos: Path
) -> None:
    outside = photos.parent / "outside.jpg"
    outside.write_bytes(JPEG)
    (photos / "link.jpg").symlink_to(outside)  # the server does not follow it out of its root
    server.folders = photos
    found = run("classify", "photos", "--json")
    assert found.exit_code == 0
    assert "The server sees other files in that folder, so they are sent." in found.stderr
    assert {row["path"] for row in rows(found)} == {*NAMES, "link.jpg"}
    assert server.batches["b0"].status == "cancelled"


# -- reading results ----------------------------------------------------------------------------


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


# -- jobs ---------------------------------------------------------------------------------------


def running(server: BatchServer, photos: Path, **progress: Any) -> None:
    """Leave a batch on the server that runs."""
    interrupt_at(server, "GET", f"/jobs/{B0}")
    assert run("classify", "photos").exit_code == 130
    batch = server.the_batch()
    job = {**server.job(batch), "status": "running", "result": {"labels": {"cat": 5, "dog": 1}}}
    counts = {"total": 10, "succeeded": 6, "failed": 1, "skipped": 2, "sealed": True}
    job["progress"] = {**counts, "percent": 69.99, "rate": 1234.5, "remaining_s": 200.4, **progress}

    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/jobs"):
            return httpx.Response(200, json={"jobs": [job], "next": None})
        if request.url.path.endswith(f"/jobs/{B0}") and "wait" not in request.url.params:
            return httpx.Response(200, json=job)
        return None

    server.answer_before = answer


def test_a_running_batch_is_listed_with_its_share_and_the_time_left(
    server: BatchServer, photos: Path
) -> None:
    running(server, photos)
    found = run("jobs")
    row = r"^b0z+\s+batch\s+running\s+pets@2\s+7/10 \(69 %\), 1 failed\s.*3 min 20 s left"
    assert re.search(row, found.stdout, re.MULTILINE)


def test_a_running_batch_is_shown_with_all_that_is_known(server: BatchServer, photos: Path) -> None:
    running(server, photos)
    found = run("jobs", B0)
    assert found.exit_code == 0
    for words in (
        r"progress\s+7/10 \(69 %\), 1 failed",
        r"passed over\s+2 other files",
        r"rate\s+1,234\.5 images per second",
        r"time left\s+3 min 20 s",
        r"results\s+http://127\.0\.0\.1:8000/v1/batches/b0z+/results\?format=csv",
        r"cat\s+5\s+83\.3%",
        r"dog\s+1\s+16\.7%",
    ):
        assert re.search(words, found.stdout), words
    running(server, photos, sealed=False, remaining_s=None, rate=None, skipped=0)
    found = run("jobs", B0)
    assert "may be added" in found.stdout
    for words in ("time left", "rate", "passed over"):
        assert words not in found.stdout


def test_waiting_for_a_batch_follows_it_to_its_end(server: BatchServer, photos: Path) -> None:
    running(server, photos)
    found = run("jobs", B0, "--wait")
    assert found.exit_code == 0
    assert re.search(r"status\s+succeeded", found.stdout)
    found = run("jobs", B0, "--wait", "--json")
    assert json.loads(found.stdout)["status"] == "succeeded"


# -- nothing to do ------------------------------------------------------------------------------


def test_a_folder_without_images_is_wrong_usage(server: BatchServer, photos: Path) -> None:
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("text")
    found = run("classify", "texts")
    assert (found.exit_code, found.stdout) == (2, "")
    assert "There are no images in texts (1 other file)." in found.stderr
    assert server.requests == []


def test_no_server_is_exit_code_3(server: BatchServer, photos: Path) -> None:
    def refuse(_: httpx.Request) -> None:
        raise httpx.ConnectError("refused")

    server.answer_before = refuse
    found = run("classify", "photos", "--json")
    assert (found.exit_code, found.stdout) == (3, "")
    assert "No Permafrost server answers" in found.stderr
