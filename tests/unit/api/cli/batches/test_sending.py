"""How the images of a batch reach the server, or the server reads their folder itself."""

import csv
from pathlib import Path

import httpx
import pytest

from api.cli import image_upload
from api.cli.command_client import CommandClient
from api.client.operations import many
from tests.support.batch_commands import NAMES
from tests.support.batch_server import BatchServer, problem
from tests.support.command_line import JPEG, rows, run


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
