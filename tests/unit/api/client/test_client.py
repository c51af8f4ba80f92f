"""The client's requests: what is sent, what is tried again, and what each answer means."""

import email
import inspect
import json
import re
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli.command_client import CommandClient
from api.client import (
    AsyncClient,
    Client,
    ConnectionLostError,
    LocalFile,
    NotPermafrostError,
    ServerError,
    ServerUnreachableError,
)
from api.client.awaiting import AsyncSession
from api.client.blocking import BlockingSession
from api.client.reading import prediction_job
from api.client.waits import Waits
from tests.support.batch_server import ulid
from tests.support.command_line import job as made
from tests.support.command_line import version
from tests.support.system import ROOT
from worker.errors import InvalidRequestError, PermafrostError

URL = "http://permafrost.test:8000"


@pytest.fixture(autouse=True)
def _exact_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.client.waits._SPREAD", 0.0)


Answer = httpx.Response | Exception
ID = ulid("j1")
PINNED = {"name": "m", "version": 1, "sha256": "ab" * 32}


class Server:
    """Answers from a list, the last one for ever, and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.slept: list[float] = []
        self.now = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.bodies.append(request.read())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def client(self, **options: Any) -> CommandClient:
        return CommandClient(
            URL,
            transport=httpx.MockTransport(self),
            sleep=self.sleep,
            clock=lambda: self.now,
            **options,
        )


def answer(status: int = 200, document: object = None, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=document, headers=names)


def problem(status: int, code: str, detail: str, **headers: str) -> httpx.Response:
    document = {"type": "about:blank", "title": "T", "status": status, "code": code}
    return httpx.Response(
        status,
        content=json.dumps({**document, "detail": detail}),
        headers={
            "content-type": "application/problem+json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )


def job(status: str = "succeeded", kind: str = "prediction") -> dict[str, Any]:
    batch = {"skipped": 0, "sealed": True, "percent": 0.0, "rate": None, "remaining_s": None}
    progress = {"total": 1, "succeeded": 0, "failed": 0, **(batch if kind == "batch" else {})}
    model = None if kind in ("freeze", "inspection") else {**PINNED}
    result: Any = {"labels": {}} if kind == "batch" else None
    return made("j1", status, kind=kind, model=model, progress=progress, result=result)


QUEUED = answer(202, job("queued"))
FREEZE = answer(202, job("queued", "freeze"))
INSPECTION = answer(202, job("queued", "inspection"))


def parts(server: Server, number: int = 0) -> dict[str, list[Message]]:
    """Return the parts of a multipart request by their names."""
    kind = server.requests[number].headers["content-type"]
    form = email.message_from_bytes(
        f"Content-Type: {kind}\r\n\r\n".encode() + server.bodies[number]
    )
    found: dict[str, list[Message]] = {}
    for part in form.get_payload():
        assert isinstance(part, Message)
        name = part.get_param("name", header="content-disposition")
        found.setdefault(str(name), []).append(part)
    return found


# -- submitting ---------------------------------------------------------------------------------


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


# -- what is tried again ------------------------------------------------------------------------


def test_a_busy_server_is_asked_again_when_it_says_with_the_same_key() -> None:
    server = Server(
        problem(503, "overloaded", "Too much.", retry_after="5"),
        problem(429, "rate_limited", "Too fast.", retry_after="2"),
        answer(200, job()),
    )
    said: list[str] = []
    server.client(on_retry=said.append).predict(b"x", model="m")
    assert server.slept == [5.0, 2.0]
    assert said[0] == "Too much. Trying again in 5 s."
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


def test_patience_ends_before_it_is_exceeded() -> None:
    server = Server(problem(503, "overloaded", "Too much.", retry_after="4"))
    with pytest.raises(ServerError, match="Too much") as caught:
        server.client(retry_for_s=10).job_page()
    assert server.slept == [4.0, 4.0]
    assert (caught.value.code, caught.value.status) == ("overloaded", 503)
    assert caught.value.retry_after == 4


def test_a_retry_after_beyond_patience_is_told_at_once() -> None:
    server = Server(problem(503, "overloaded", "Too much.", retry_after="86400"))
    with pytest.raises(ServerError, match="Too much") as caught:
        server.client(retry_for_s=60).job_page()
    assert (caught.value.retry_after, server.slept) == (86400, [])


def test_a_retry_after_within_patience_is_waited_for_whole() -> None:
    server = Server(
        problem(503, "overloaded", "Too much.", retry_after="90"), answer(200, {"jobs": []})
    )
    server.client(retry_for_s=100).job_page()
    assert server.slept == [90.0]


def test_pauses_are_spread_but_never_shorter_than_asked_and_within_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.client.waits._SPREAD", 0.25)
    pauses = []
    for _ in range(50):
        waits = Waits(10.0)
        while (pause := waits.next(4)) is not None:
            assert 4 <= pause <= 5
            pauses.append(pause)
    assert len(pauses) == 100
    assert len(set(pauses)) > 10


def test_a_retry_after_that_is_a_date_in_the_past_means_soon() -> None:
    server = Server(
        problem(503, "overloaded", "Too much.", retry_after="Fri, 31 Dec 1999 23:59:59 GMT"),
        answer(200, {"jobs": []}),
    )
    server.client().job_page()
    assert server.slept == [0.05]


@pytest.mark.parametrize("text", ["", "soon", "-3", "9" * 400, "Fri, 99 Foo 1999 99:99:99 GMT"])
def test_a_retry_after_that_makes_no_sense_does_no_harm(text: str) -> None:
    server = Server(
        problem(503, "overloaded", "Too much.", retry_after=text), answer(200, {"jobs": []})
    )
    server.client(retry_for_s=60).job_page()
    assert 0 < sum(server.slept) <= 60


def test_a_503_that_names_no_time_is_final() -> None:
    server = Server(problem(503, "model_unavailable", "Its graph is damaged."))
    with pytest.raises(ServerError, match="damaged"):
        server.client().predict(b"x", model="m")
    assert len(server.requests) == 1


def test_a_proxy_whose_server_is_away_is_asked_again() -> None:
    server = Server(httpx.Response(502, text="<html>Bad Gateway"), answer(200, {"jobs": []}))
    assert server.client().job_page().jobs == []
    assert len(server.slept) == 1


def test_a_lost_connection_is_made_again_with_growing_pauses() -> None:
    server = Server(
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("gone"),
        httpx.WriteError("pipe"),
        answer(200, job()),
    )
    server.client().predict(b"x", model="m")
    assert server.slept == [0.2, 0.4, 0.8]


def test_a_connection_that_is_lost_every_time_is_given_up() -> None:
    server = Server(httpx.ReadError("reset"))
    with pytest.raises(ConnectionLostError, match="closed the connection"):
        server.client(retry_for_s=1000).predict(b"x", model="m")
    assert len(server.requests) == 5


def test_a_freeze_is_sent_again_with_its_key_so_that_the_server_knows_it() -> None:
    server = Server(httpx.ReadError("reset"), FREEZE)
    server.client().freeze_files([], {"source": "a", "name": "m"})
    assert len(server.requests) == 2
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


def test_a_version_is_not_published_again_once_the_server_may_have_made_it() -> None:
    server = Server(httpx.ReadError("reset"))
    with pytest.raises(ConnectionLostError):
        server.client().republish("m", preprocessing="raw")
    assert len(server.requests) == 1


def test_a_server_that_never_answered_is_reported_at_once() -> None:
    server = Server(httpx.ConnectError("refused"))
    with pytest.raises(ServerUnreachableError) as caught:
        server.client().models()
    assert str(caught.value) == (
        f"No Permafrost server answers at {URL}: start one with `./permafrost up` "
        "or name another with --server."
    )
    assert server.slept == []


def test_a_server_that_answered_before_is_waited_for_while_it_starts_again() -> None:
    server = Server(
        answer(200, {"jobs": []}),
        *[httpx.ConnectError("refused")] * 8,
        answer(200, {"jobs": [job()]}),
    )
    client = server.client(retry_for_s=60)
    client.job_page()
    assert [found.id for found in client.job_page().jobs] == [ID]
    assert len(server.slept) == 8


def test_a_file_that_changes_while_it_is_sent_is_not_sent_again() -> None:
    server = Server(httpx.LocalProtocolError("Too little data for declared Content-Length"))
    with pytest.raises(InvalidRequestError, match="changed while it was being sent"):
        server.client().predict(b"x", model="m")
    assert len(server.requests) == 1


# -- what answers mean --------------------------------------------------------------------------


def test_a_problem_becomes_an_error_with_its_code_status_and_sentence() -> None:
    server = Server(problem(404, "model_not_found", "There is no model 'x'."))
    with pytest.raises(ServerError) as caught:
        server.client().model("x")
    error = caught.value
    assert isinstance(error, PermafrostError)
    assert (error.code, error.status, error.detail, error.message) == (
        "model_not_found",
        404,
        "There is no model 'x'.",
        "There is no model 'x'.",
    )


@pytest.mark.parametrize(
    ("found", "kind", "words"),
    [
        (httpx.Response(404, html="<h1>nothing"), NotPermafrostError, "is not Permafrost"),
        (httpx.Response(200, html="<h1>hello"), NotPermafrostError, "is not Permafrost"),
        (httpx.Response(200, json=[1, 2]), NotPermafrostError, "is not Permafrost"),
        (httpx.Response(200, json={"other": 1}), NotPermafrostError, "is not Permafrost"),
        (httpx.Response(200, content=b"\xff{"), NotPermafrostError, "is not Permafrost"),
        (httpx.Response(413, html="<h1>too big"), ServerError, "413 Request Entity Too Large"),
        (httpx.Response(500, json=["what"]), ServerError, "500 Internal Server Error"),
        (httpx.Response(418, json={"title": "Teapot"}), ServerError, "Teapot"),
        (
            httpx.Response(301, headers={"location": "https://other/"}),
            ServerError,
            "redirects to https://other/",
        ),
    ],
)
def test_other_answers_become_a_sentence(
    found: httpx.Response, kind: type[PermafrostError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        Server(found).client().job_page()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://host:8000/", "http://host:8000"),
        ("host:8000", "http://host:8000"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://host/permafrost/", "https://host/permafrost"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        (" http://host ", "http://host"),
    ],
)
def test_a_server_can_be_named_in_short(given: str, used: str) -> None:
    assert CommandClient(given).server == used


@pytest.mark.parametrize(
    "given", ["", "http://", "ftp://host", "http://host:port", "host?x=1", "http://a b", ":8000"]
)
def test_what_is_no_server_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"http://127\.0\.0\.1:8000"):
        CommandClient(given)


def test_a_path_below_which_the_server_lies_is_kept() -> None:
    server = Server(answer(200, {"models": []}))
    client = CommandClient(f"{URL}/inner", transport=httpx.MockTransport(server))
    client.models()
    assert server.requests[0].url.path == "/inner/v1/models"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b", b"/v1/models/a%2Fb"),
        ("a?b#c", b"/v1/models/a%3Fb%23c"),
        ("é", b"/v1/models/%C3%A9"),
        ("\udce9", b"/v1/models/%E9"),
    ],
)
def test_names_cannot_leave_their_place_in_a_path(name: str, path: bytes) -> None:
    empty = {"name": "m", "aliases": {}, "versions": [], "damaged": []}
    server = Server(answer(200, empty))
    server.client().model(name)
    assert server.requests[0].url.raw_path == path


def methods(kind: type[BlockingSession] | type[AsyncSession], base: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")} - set(dir(base))


def test_both_clients_have_the_methods_that_the_page_names() -> None:
    blocking, awaited = methods(Client, BlockingSession), methods(AsyncClient, AsyncSession)
    page = (ROOT / "docs" / "client.md").read_text()
    table = page.partition("## All methods")[2].partition("## ")[0]
    rows = re.findall(r"^\| [a-z ]+ \| (`.*) \|$", table, re.MULTILINE)
    assert blocking == awaited == set(re.findall(r"`(\w+)`", "".join(rows)))


def test_a_method_is_described_as_its_operation_is() -> None:
    assert list(inspect.signature(Client.job).parameters) == ["self", "job_id", "wait_s"]
    assert list(inspect.signature(AsyncClient.freeze).parameters)[:2] == ["self", "source"]
    assert str(Client.cancel.__doc__).startswith("Cancel a job")


# -- waiting ------------------------------------------------------------------------------------


def test_waiting_reads_the_job_until_it_has_ended_and_tells_every_state() -> None:
    server = Server(
        answer(200, job("queued")), answer(200, job("running")), answer(200, job("succeeded"))
    )
    states = [state.status for state in server.client().states(prediction_job(job("queued")))]
    assert states == ["queued", "queued", "running", "succeeded"]
    assert {request.url.params["wait"] for request in server.requests} == {"1"}


def test_a_server_that_does_not_hold_its_answer_is_asked_less_and_less_often() -> None:
    server = Server(*[answer(200, job("queued"))] * 8, answer(200, job()))
    list(server.client().states(prediction_job(job("queued")), hold_s=30))
    assert server.slept == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_a_job_that_has_ended_is_not_read_again(status: str) -> None:
    server = Server(answer(500))
    (ended,) = server.client().states(prediction_job(job(status)))
    assert ended.status == status
    assert server.requests == []


def test_a_job_that_expires_meanwhile_is_an_error() -> None:
    server = Server(problem(410, "expired", "The job has expired."))
    with pytest.raises(ServerError, match="expired"):
        list(server.client().states(prediction_job(job("queued"))))


@pytest.mark.parametrize(
    ("found", "ready"),
    [
        (answer(200, {}), True),
        (answer(503, {}), False),
        (httpx.ConnectError("refused"), False),
        (httpx.ReadTimeout("slow"), False),
    ],
)
def test_readiness_is_a_plain_answer(found: Answer, ready: bool) -> None:
    server = Server(found)
    assert server.client().ready() is ready
    assert server.slept == []


@pytest.mark.parametrize(
    ("call", "method", "path"),
    [
        (lambda client: client.cancel("j1"), "DELETE", "/v1/jobs/j1"),
        (lambda client: client.job("j1"), "GET", "/v1/jobs/j1"),
        (lambda client: client.version("m", 2), "GET", "/v1/models/m/versions/2"),
        (lambda client: client.workers(), "GET", "/v1/workers"),
        (
            lambda client: client.job_page(kind="freeze", status="failed", cursor="c", limit=3),
            "GET",
            "/v1/jobs?kind=freeze&status=failed&cursor=c&limit=3",
        ),
    ],
)
def test_each_request_goes_where_the_contract_says(
    call: Callable[[CommandClient], object], method: str, path: str
) -> None:
    document = {**job(), **version(2), "workers": [], "jobs": []}
    server = Server(answer(200, document))
    call(server.client())
    assert (server.requests[0].method, server.requests[0].url.raw_path) == (method, path.encode())


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
