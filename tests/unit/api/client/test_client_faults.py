"""Both clients against servers that hang up, are busy, or are something else."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, assert_type

import pytest

from api.client import (
    AsyncClient,
    Classification,
    Client,
    ConnectionLostError,
    InvalidRequestError,
    JobError,
    NotEndedError,
    NotPermafrostError,
    PermafrostError,
    ServerError,
    ServerUnreachableError,
    document,
)
from tests.support.scripted_server import answering, http
from worker.contract.batches import BatchRow
from worker.contract.image_jobs import PredictionJob
from worker.contract.jobs import AnyJob
from worker.credentials.api_key import new_secret

Call = Callable[..., Any]

ULID = "01hzzzzzzzzzzzzzzzzzzzzzzz"
SHA256 = "ab" * 32
HANGS_UP = b""


def prediction(status: str = "succeeded", **fields: Any) -> dict[str, Any]:
    """Return a prediction as the API answers it."""
    done = status != "queued"
    found = [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]
    return {
        "id": ULID,
        "kind": "prediction",
        "status": status,
        "model": {"name": "pets", "version": 2, "sha256": SHA256},
        "created_at": "2026-11-23T06:00:00.000Z",
        "started_at": "2026-11-23T06:00:01.000Z" if done else None,
        "finished_at": "2026-11-23T06:00:03.500Z" if done else None,
        "expires_at": "2026-11-24T06:00:03.500Z" if done else None,
        "progress": {"total": 1, "succeeded": int(status == "succeeded"), "failed": 0},
        "result": {"predictions": found} if status == "succeeded" else None,
        "error": None,
        "attempts": 1,
        "links": {"self": f"/v1/jobs/{ULID}", "results": None, "events": f"/v1/jobs/{ULID}/events"},
        **fields,
    }


def row(path: str) -> bytes:
    return (
        f'{{"path": "{path}", "status": "succeeded", "label": "cat", "score": 0.5, '
        f'"predictions": [], "error": null, "model": "m", "version": 1, "sha256": "{SHA256}"}}\n'
    ).encode()


ENDED = http("200 OK", prediction())


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.client.waits._FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("api.client.waits._LATER_PAUSE_S", 0.02)


@pytest.fixture(params=["blocking", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Return a function that calls a method of either client, and lists what it iterates."""

    def blocking(url: str, name: str, *arguments: Any, **options: Any) -> Any:
        with Client(url, **options.pop("client", {})) as client:
            found = getattr(client, name)(*arguments, **options)
            return [*found] if isinstance(found, Iterator) else found

    async def awaited(url: str, name: str, *arguments: Any, **options: Any) -> Any:
        async with AsyncClient(url, **options.pop("client", {})) as client:
            found = getattr(client, name)(*arguments, **options)
            return [one async for one in found] if hasattr(found, "__aiter__") else await found

    if request.param == "blocking":
        return blocking
    return lambda *arguments, **options: asyncio.run(awaited(*arguments, **options))


def test_an_answer_is_read_in_one_request(call: Call, tmp_path: Path) -> None:
    image = tmp_path / "caf\udce9.jpg"  # a name that is not UTF-8
    image.write_bytes(b"\xff\xd8\xff" + bytes(100_000))
    with answering(http("200 OK", prediction())) as server:
        found = call(server.url, "classify", image, model="pets", top=2)
    assert str(found) == "cat 75.0%, dog 25.0%"
    assert (found.label, found.score, found.model.version) == ("cat", 0.75, 2)
    (asked,) = server.asked
    assert (asked.method, asked.target) == ("POST", "/v1/predictions?model=pets&top=2")
    assert asked.headers["prefer"] == "wait=30"
    assert asked.body == image.read_bytes()


def test_answers_have_types_that_a_checker_knows() -> None:
    with answering(http("200 OK", prediction())) as server, Client(server.url) as client:
        assert_type(client.classify(b"image"), Classification)
        assert_type(client.classify(b"image").predictions[0].score, float)
        assert_type(client.wait(client.predict(b"image")), PredictionJob)
        assert_type(client.follow(ULID), Iterator[AnyJob])

        async def awaited() -> None:
            async with AsyncClient(server.url) as client:
                assert_type(await client.classify(b"image"), Classification)
                assert_type(await client.wait(await client.predict(b"image")), PredictionJob)
                assert_type(client.classify_all("photos"), AsyncIterator[BatchRow])

        asyncio.run(awaited())


def test_a_submission_that_got_no_answer_is_the_same_one_when_it_is_sent_again(call: Call) -> None:
    with answering(HANGS_UP, HANGS_UP, http("200 OK", prediction())) as server:
        assert call(server.url, "classify", b"image").label == "cat"
    assert len(server.asked) == 3
    assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 1
    assert {asked.body for asked in server.asked} == {b"image"}


def test_an_answer_that_breaks_off_is_asked_for_again(call: Call) -> None:
    broken = http("200 OK", prediction(), length=100_000)
    with answering(broken, http("200 OK", prediction())) as server:
        assert call(server.url, "predict", b"image").id == ULID
    assert len(server.asked) == 2


def test_what_must_not_be_done_twice_is_asked_once(call: Call) -> None:
    with answering(HANGS_UP) as server, pytest.raises(ConnectionLostError):
        call(server.url, "republish", "m", preprocessing="raw")
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again_when_it_says(call: Call) -> None:
    problem = {"title": "T", "detail": "Too much.", "code": "overloaded", "status": 503}
    busy = http("503 Service Unavailable", problem, ["Retry-After: 1"])
    began = time.monotonic()
    with answering(busy, http("200 OK", prediction())) as server:
        assert call(server.url, "classify", b"image").label == "cat"
    assert len(server.asked) == 2
    assert time.monotonic() - began >= 1


def test_a_refusal_has_its_code_its_status_and_its_sentence(call: Call) -> None:
    problem = {"detail": "There is no model 'x'.", "code": "model_not_found", "status": 404}
    with (
        answering(http("404 Not Found", problem)) as server,
        pytest.raises(ServerError) as caught,
    ):
        call(server.url, "classify", b"image", model="x")
    error = caught.value
    assert (error.code, error.status, error.detail) == (
        *("model_not_found", 404),
        "There is no model 'x'.",
    )
    assert isinstance(error, PermafrostError)


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for(call: Call) -> None:
    busy = http("429 Too Many Requests", {"detail": "Slow down."}, ["Retry-After: 3600"])
    with answering(busy) as server, pytest.raises(ServerError) as caught:
        call(server.url, "models", client={"retry_for_s": 5.0})
    assert caught.value.retry_after == 3600
    assert len(server.asked) == 1


def test_it_goes_nowhere_else(call: Call) -> None:
    with (
        answering(http("200 OK", {"models": []})) as other,
        answering(http("307 Temporary Redirect", b"", [f"Location: {other.url}/"])) as server,
        pytest.raises(ServerError, match="redirects to"),
    ):
        call(server.url, "models", client={"api_key": new_secret()})
    assert other.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", b"<h1>hello", ["Content-Type: text/html"]),
        http("200 OK", b"{", ["Content-Type: application/json"]),
        http("200 OK", b"not gzip", ["Content-Encoding: gzip", "Content-Type: application/json"]),
        http("200 OK", {"models": [{"name": "m"}]}),
        http("200 OK", {"models": "none"}),
        http("200 OK", {"models": [7]}),
        http("200 OK", ["models"]),
        http("404 Not Found", b"nothing", ["Content-Type: text/html"]),
    ],
)
def test_what_is_not_permafrost_is_named_so(call: Call, answer: bytes) -> None:
    with answering(answer) as server, pytest.raises(NotPermafrostError):
        call(server.url, "models")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("name", "argument", "strange"),
    [
        ("classify", b"image", {"id": ["x"], "status": "queued"}),
        ("classify", b"image", {"id": "x", "status": ["queued"]}),
        ("classify", b"image", {"id": "x", "status": "succeeded", "result": 7}),
        ("follow", "x", {"id": "x", "status": "running", "kind": "prediction"}),
        ("retry", "x", {"id": "x", "status": "running", "kind": "batch"}),
        ("results_as_they_come", "x", {"id": "x", "status": "running", "progress": 3}),
        ("results_as_they_come", "x", {"id": "x", "status": "failed", "progress": {"failed": "1"}}),
        ("jobs", None, {"jobs": 7}),
        ("jobs", None, {"jobs": [7]}),
        ("workers", None, {"workers": {}}),
    ],
)
def test_an_answer_of_another_form_is_no_traceback(
    call: Call, name: str, argument: Any, strange: dict[str, Any]
) -> None:
    with answering(http("200 OK", strange)) as server, pytest.raises(NotPermafrostError):
        call(server.url, name, *([] if argument is None else [argument]))


def test_a_large_upload_gives_the_server_time_to_store_it(call: Call, tmp_path: Path) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    with large.open("wb") as file:
        file.truncate(20_000_000)
    small.write_bytes(b"x")
    slow = http("200 OK", prediction()), 1.0
    with answering(slow) as server:
        assert call(server.url, "predict", large, client={"timeout_s": 0.2}).id == ULID
        assert [len(asked.body) for asked in server.asked] == [20_000_000]
        with pytest.raises(ServerUnreachableError, match="in time"):
            call(server.url, "predict", small, client={"timeout_s": 0.2, "retry_for_s": 0.0})


def test_nobody_at_the_address_is_an_error_at_once(call: Call) -> None:
    with answering(http("200 OK")) as server:
        pass
    with pytest.raises(ServerUnreachableError, match="No Permafrost server answers"):
        call(server.url, "models")


def test_rows_go_on_behind_what_was_given_where_the_answer_breaks_off(call: Call) -> None:
    first = http("200 OK", row("a") + row("b") + row("c")[:20], length=9999)
    again = http("200 OK", row("a") + row("b") + row("c"))
    with answering(ENDED, first, again) as server:
        found = call(server.url, "results", ULID)
    assert [one.path for one in found] == ["a", "b", "c"]
    assert len(server.asked) == 3


def test_rows_of_a_batch_that_runs_are_each_given_once_whatever_comes_between(call: Call) -> None:
    first = http("200 OK", row("b") + row("d"), length=9999)
    again = http("200 OK", row("a") + row("b") + row("c") + row("d"))
    with answering(http("200 OK", prediction("running")), first, again) as server:
        found = call(server.url, "results", ULID)
    assert [one.path for one in found] == ["b", "d", "a", "c"]


def test_rows_that_are_none_are_not_given(call: Call) -> None:
    with (
        answering(ENDED, http("200 OK", row("a") + b"<html>\n")) as server,
        pytest.raises(NotPermafrostError),
    ):
        call(server.url, "results", ULID)


def test_a_compressed_answer_is_read(call: Call) -> None:
    packed = http("200 OK", gzip.compress(row("a") * 1000), ["Content-Encoding: gzip"])
    with answering(ENDED, packed) as server:
        assert len(call(server.url, "results", ULID)) == 1000


def test_an_image_that_failed_is_an_error_with_its_job(call: Call) -> None:
    fault = {"code": "truncated", "message": "The image ends before its last pixel."}
    failed = prediction("failed", error=fault)
    with answering(http("200 OK", failed)) as server, pytest.raises(JobError) as caught:
        call(server.url, "classify", b"image")
    assert (caught.value.code, caught.value.message) == (fault["code"], fault["message"])
    assert caught.value.job.id == ULID


def test_waiting_ends_when_it_should_and_says_that_the_job_goes_on(call: Call) -> None:
    with (
        answering(http("202 Accepted", prediction("queued"))) as server,
        pytest.raises(NotEndedError, match="still queued after") as caught,
    ):
        call(server.url, "classify", b"image", within_s=0.4)
    assert caught.value.job_id == ULID
    assert len(server.asked) < 6


@pytest.mark.parametrize("name", ["none.jpg", "."])
def test_a_file_that_cannot_be_sent_is_named(call: Call, tmp_path: Path, name: str) -> None:
    with answering(http("200 OK")) as server, pytest.raises(InvalidRequestError, match=r"tmp|path"):
        call(server.url, "classify", tmp_path / name)
    assert server.asked == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HTTPS_PROXY", "what://is.this"), ("ALL_PROXY", "socks5://host:1"), ("NO_PROXY", "[::1")],
)
def test_an_environment_that_cannot_be_used_is_a_sentence(
    call: Call, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidRequestError, match="HTTP_PROXY"):
        call("http://permafrost.test", "models")


def test_no_proxy_stands_between_a_machine_and_itself(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with answering(http("200 OK", {"models": []})) as server:
        assert call(server.url, "models") == []


def test_the_server_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERMAFROST_URL", "host:1234/inner/")
    assert Client().server == "http://host:1234/inner"


def test_an_unread_iteration_closes_its_answer() -> None:
    broken = http("200 OK", row("a"), length=9999)
    with answering(ENDED, broken) as server, Client(server.url) as client:
        assert next(client.results(ULID)).path == "a"
    with answering(ENDED, broken) as server:

        async def first() -> str:
            async with AsyncClient(server.url) as client:
                async for one in client.results(ULID):
                    return one.path
            return ""

        assert asyncio.run(first()) == "a"


def test_what_a_later_server_adds_is_passed_over_and_kept_in_the_document(call: Call) -> None:
    pinned = {"name": "pets", "version": 2, "sha256": SHA256, "digest": "new"}
    served = prediction("running", model=pinned, priority=7)
    with answering(http("200 OK", served)) as server:
        found = call(server.url, "job", ULID)
    assert (found.model.name, document(found)) == ("pets", served)
    assert found == PredictionJob.model_validate(served)
    assert document(PredictionJob.model_validate(served)) == prediction("running")
    way = {"called": "w", "served": True, "preprocessing": {}, "command": "", "answers": []}
    result = {"model": "pets", "version": 2, "images": [], "ways": [{**way, "new": 1}], "more": 2}
    compared = prediction(kind="comparison", result=result)
    with answering(http("200 OK", compared)) as server:
        found = call(server.url, "job", ULID)
    assert found.result.ways[0].called == "w"
    assert document(found) == compared


def test_a_list_of_what_a_later_server_has_is_kept_one_by_one(call: Call) -> None:
    model = {"name": "m", "aliases": {}, "versions": [], "damaged": [], "owner": "somebody"}
    with answering(http("200 OK", {"models": [model], "next": None})) as server:
        (found,) = call(server.url, "models")
    assert document(found) == model
