"""What the client sends: images, sources, options and keys."""

import json
from pathlib import Path

import httpx
import pytest

from api.cli.command_client import CommandClient
from api.client import (
    LocalFile,
)
from tests.support.listed_server import (
    FREEZE,
    ID,
    INSPECTION,
    QUEUED,
    URL,
    Server,
    answer,
    job,
    parts,
    problem,
)
from worker.errors import InvalidRequestError

pytestmark = pytest.mark.usefixtures("exact_pauses", "no_proxy")


def test_an_image_is_sent_as_the_body_with_model_top_and_wait(tmp_path: Path) -> None:
    photo = tmp_path / "cat.jpg"
    photo.write_bytes(b"\xff\xd8\xff" + bytes(200_000))
    server = Server(answer(200, job()))
    with server.client() as client:
        assert client.predict(photo, model="cats@2", top=3, wait_s=12.4).id == ID
    request = server.requests[0]
    assert request.url.path == "/v1/predictions"
    assert dict(request.url.params) == {"model": "cats@2", "top": "3"}
    assert server.bodies[0] == photo.read_bytes()
    assert request.headers["content-length"] == str(photo.stat().st_size)
    assert request.headers["prefer"] == "wait=12"
    assert request.headers["idempotency-key"]


def test_whoever_is_to_be_told_is_named_in_every_submission() -> None:
    batch = answer(202, job("queued", "batch"))
    server = Server(answer(202, job("queued")), batch, batch)
    client, receiver = server.client(), "https://example.com/hook?a=b&c"
    client.predict(b"x", model="m", webhook=receiver)
    client.open_batch(model="m", top=5, key="k", webhook=receiver)
    client.batch_folder("f", model="m", top=5, key="l", webhook=receiver)
    first, *others = server.requests
    assert first.url.params["webhook"] == receiver
    assert [json.loads(request.content)["webhook"] for request in others] == [receiver] * 2


def test_bytes_are_sent_as_they_are_and_without_wait_nothing_is_preferred() -> None:
    server = Server(QUEUED)
    assert server.client().predict(b"GIF89a", model="m").status == "queued"
    assert server.bodies == [b"GIF89a"]
    assert "prefer" not in server.requests[0].headers


def test_an_image_that_is_not_there_is_an_error_of_the_request() -> None:
    with pytest.raises(InvalidRequestError, match="No such file"):
        Server(answer()).client().predict(Path("/no/such/file.jpg"), model="m")


def test_each_submission_has_its_own_idempotency_key() -> None:
    server = Server(answer(200, job()))
    client = server.client()
    client.predict(b"x", model="m")
    client.predict(b"x", model="m")
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(set(keys)) == 2


def test_a_source_is_uploaded_with_relative_names_and_options(tmp_path: Path) -> None:
    (tmp_path / "model.index").write_bytes(b"index")
    (tmp_path / "v").write_bytes(b"variables")
    files = [
        LocalFile(path=tmp_path / "model.index", name="model.index"),
        LocalFile(path=tmp_path / "v", name="variables/variables.index"),
    ]
    sent: list[int] = []
    server = Server(FREEZE)
    server.client().freeze_files(files, {"name": "m", "set": {"a": 1.0}}, on_sent=sent.append)
    found = parts(server)
    assert [part.get_filename() for part in found["files"]] == [
        "model.index",
        "variables/variables.index",
    ]
    assert [part.get_payload(decode=True) for part in found["files"]] == [b"index", b"variables"]
    assert json.loads(str(found["options"][0].get_payload())) == {"name": "m", "set": {"a": 1.0}}
    assert sum(sent) == len(b"index" + b"variables")


def test_samples_are_sent_beside_an_archive_and_alone(tmp_path: Path) -> None:
    for name in ("m.zip", "cat.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    archive = LocalFile(path=tmp_path / "m.zip", name="m.zip")
    sample = LocalFile(path=tmp_path / "cat.jpg", name="cat.jpg", is_sample=True)
    server = Server(FREEZE)
    server.client().freeze_files([archive, sample], {"name": "m"})
    server.client().freeze_files([sample], {"name": "m", "source": "a"})
    assert {name: len(found) for name, found in parts(server, 0).items()} == {
        "archive": 1,
        "samples": 1,
        "options": 1,
    }
    assert set(parts(server, 1)) == {"samples", "options"}


@pytest.mark.parametrize("name", ["m.zip", "m.tar", "m.tar.gz", "m.TGZ"])
def test_a_single_archive_is_sent_as_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"archive")
    server = Server(INSPECTION)
    server.client().inspect_files([LocalFile(path=tmp_path / name, name=name)], {})
    found = parts(server)
    assert set(found) == {"archive"}
    assert server.requests[0].url.path == "/v1/inspections"


def test_an_upload_that_is_sent_again_is_sent_whole_and_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(bytes(300_000))
    sent: list[int] = []
    server = Server(problem(503, "overloaded", "Full.", retry_after="1"), FREEZE)
    server.client().freeze_files(
        [LocalFile(path=path, name="model.h5")], {"name": "m"}, on_sent=sent.append
    )
    for number in (0, 1):
        payload = parts(server, number)["files"][0].get_payload(decode=True)
        assert payload == path.read_bytes()
    assert sum(sent) == 300_000


def test_a_large_upload_is_never_in_memory_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.data-00000-of-00001"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    largest = 0

    class Counting(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal largest
            assert isinstance(request.stream, httpx.SyncByteStream)
            for piece in request.stream:
                largest = max(largest, len(piece))
            return QUEUED if request.url.path == "/v1/predictions" else FREEZE

    client = CommandClient(URL, transport=Counting())
    client.freeze_files([LocalFile(path=path, name=path.name)], {"name": "m"})
    client.predict(path, model="m")
    assert 0 < largest <= 1024 * 1024


def test_a_name_that_is_not_utf_8_is_sent_with_a_replacement(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(b"x")
    server = Server(FREEZE)
    server.client().freeze_files([LocalFile(path=path, name="caf\udce9.meta")], {"name": "m"})
    assert parts(server)["files"][0].get_filename() == "caf�.meta"


def test_what_a_terminal_gives_that_is_not_utf_8_is_sent_with_a_replacement() -> None:
    server = Server(FREEZE, QUEUED)
    client = server.client()
    client.freeze_files([], {"source": "a", "name": "caf\udce9"})
    client.predict(b"x", model="caf\udce9")
    assert json.loads(server.bodies[0])["name"] == "caf?"
    assert server.requests[1].url.params["model"] == "caf�"


def test_a_path_on_the_server_is_sent_as_json() -> None:
    server = Server(FREEZE, INSPECTION)
    client = server.client()
    client.freeze_files([], {"source": "a/b", "name": "m"})
    client.inspect_files([], {"source": "a/b"})
    assert [json.loads(body) for body in server.bodies] == [
        {"source": "a/b", "name": "m"},
        {"source": "a/b"},
    ]


def test_a_submission_answered_without_its_job_is_read_by_its_id() -> None:
    server = Server(answer(202, {"id": "j1"}), answer(200, job("running")))
    assert server.client().predict(b"x", model="m").status == "running"
    assert server.requests[1].url.path == "/v1/jobs/j1"
