"""`POST /v1/predictions`, on a real Redis and without workers."""

import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from tests.support.api import assert_problem, photograph, publish, web_client
from tests.support.polling import wait_until
from tests.support.work import CLASSIFYING, Work, failure, filled, success
from worker.jobs.keys import key
from worker.jobs.records import Lane
from worker.jobs.scripts import Call, Scripts
from worker.settings import Settings

URL = "/v1/predictions"
PNG = photograph()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_image_bytes": 100_000, "max_wait_s": 5.0})


@pytest.fixture
def web(settings: Settings) -> Iterator[FlaskClient]:
    publish(settings)
    with web_client(settings) as web:
        yield web


def _form(image: bytes = PNG, **fields: str) -> dict[str, Any]:
    return {"data": {"image": (io.BytesIO(image), "cat.png"), **fields}}


# -- accepting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        _form(model="cats-dogs", top="3"),
        {"data": PNG, "query_string": {"model": "cats-dogs", "top": "3"}},
        {
            "data": PNG,
            "query_string": {"model": "cats-dogs@1", "top": "3"},
            "content_type": "image/png",
        },
        # What `curl --data-binary` says.
        {
            "data": PNG,
            "query_string": {"model": "cats-dogs@stable", "top": "3"},
            "content_type": "application/x-www-form-urlencoded",
        },
    ],
    ids=["form", "body", "version", "curl"],
)
def test_an_image_is_accepted(web: FlaskClient, work: Work, request_: dict[str, Any]) -> None:
    response = web.post(URL, **request_)
    assert response.status_code == 202
    job = response.get_json()
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert response.headers["Retry-After"] == "1"
    assert "Preference-Applied" not in response.headers
    assert (job["kind"], job["status"], job["attempts"]) == ("prediction", "queued", 0)
    assert (job["model"]["name"], job["model"]["version"]) == ("cats-dogs", 1)
    assert job["links"] == {
        "self": f"/v1/jobs/{job['id']}",
        "results": None,
        "events": f"/v1/jobs/{job['id']}/events",
    }
    assert web.get(response.headers["Location"]).get_json() == job
    (claimed,) = work.claim().items
    assert (claimed.upload, claimed.options) == (PNG, {"top": 3})


def test_fields_need_not_be_sent_where_there_is_one_model(web: FlaskClient, work: Work) -> None:
    assert web.post(URL, **_form()).status_code == 202
    assert work.claim().items[0].options == {"top": 5}


def test_all_of_more_than_a_thousand_classes_can_be_asked_for(web: FlaskClient, work: Work) -> None:
    assert web.post(URL, **_form(top="999999999")).status_code == 202
    assert work.claim().items[0].options == {"top": 999_999_999}
    opened = web.post("/v1/batches", json={"open": True, "model": "cats-dogs", "top": 1001})
    assert opened.status_code == 202
    described = web.get("/openapi.json").get_json()["paths"]["/v1/predictions"]["post"]
    (top,) = [one for one in described["parameters"] if one["name"] == "top"]
    assert top["schema"]["maximum"] == 999_999_999


def test_the_version_is_pinned_when_the_job_is_accepted(
    web: FlaskClient, settings: Settings
) -> None:
    first = web.post(URL, data=PNG).get_json()
    publish(settings, graph=b"another")
    second = web.post(URL, data=PNG).get_json()
    assert [job["model"]["version"] for job in (first, second)] == [1, 2]
    assert first["model"]["sha256"] != second["model"]["sha256"]
    assert web.get(first["links"]["self"]).get_json()["model"]["version"] == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_every_known_kind_of_image_is_accepted(web: FlaskClient, kind: str) -> None:
    assert web.post(URL, data=photograph(kind)).status_code == 202


def test_a_ticket_is_sent_once_for_many_jobs(web: FlaskClient, client: redis.Redis) -> None:
    tickets = key("tickets", Lane.INTERACTIVE)
    for _ in range(5):
        web.post(URL, data=PNG)
    wait_until(lambda: client.llen(tickets), within_s=10, what="a ticket is sent")
    time.sleep(0.2)  # a second one would be sent after its answer, too
    assert client.llen(tickets) == 1


# -- refusing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"data": b""}, 400, "invalid_request"),
        (_form(b""), 400, "invalid_request"),
        (
            {"data": {"model": "cats-dogs"}, "content_type": "multipart/form-data"},
            400,
            "invalid_request",
        ),
        (
            {"data": {"image": "text, not a file"}, "content_type": "multipart/form-data"},
            400,
            "invalid_request",
        ),
        (
            {"data": {"image": [(io.BytesIO(PNG), "a"), (io.BytesIO(PNG), "b")]}},
            400,
            "invalid_request",
        ),
        (_form(top="0"), 400, "invalid_request"),
        (_form(top="1000000000"), 400, "invalid_request"),
        (_form(top="-1"), 400, "invalid_request"),
        (_form(top="many"), 400, "invalid_request"),
        (_form(top="٣"), 400, "invalid_request"),
        (_form(top="1e2"), 400, "invalid_request"),
        (_form(top="00000000000199999"), 400, "invalid_request"),
        (_form(model="cats dogs"), 400, "invalid_request"),
        (_form(model="cats-dogs@0"), 400, "invalid_request"),
        (_form(model="whales"), 404, "model_not_found"),
        (_form(model="cats-dogs@9"), 404, "model_not_found"),
        (_form(model="cats-dogs@canary"), 404, "model_not_found"),
        (_form(b"hello"), 415, "unsupported_media"),
        (_form(b"%PDF-1.7"), 415, "unsupported_media"),
        ({"json": {"image": "base64"}}, 415, "unsupported_media"),
        (_form(PNG + bytes(100_000)), 413, "too_large"),
        ({"data": PNG + bytes(100_000)}, 413, "too_large"),
        ({"data": PNG + bytes(1_000_000)}, 413, "too_large"),
        (_form(PNG + bytes(400_000)), 413, "too_large"),
        ({"data": PNG, "query_string": {"wait": "soon"}}, 400, "invalid_request"),
        ({"data": PNG, "headers": {"Idempotency-Key": "x" * 256}}, 400, "invalid_request"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_kept(
    web: FlaskClient, work: Work, request_: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(web.post(URL, **request_), status, code)
    assert work.store.page().jobs == []
    assert not any(name.startswith("upload:") for name in work.key_names())


def test_a_wait_that_is_no_number_is_refused_before_anything_is_accepted(
    web: FlaskClient, work: Work
) -> None:
    for wait in ("soon", "-1", "nan", "inf", ""):
        response = web.post(URL, data=PNG, query_string={"wait": wait})
        assert_problem(response, 400, "invalid_request")
    assert work.store.page().jobs == []


@pytest.mark.parametrize("size", [200_000, 10_000_000])
def test_a_body_of_unknown_length_is_cut_off_at_its_limit(
    web: FlaskClient, work: Work, size: int
) -> None:
    """As gunicorn hands on `Transfer-Encoding: chunked`."""
    stream = io.BytesIO(PNG + bytes(size))
    response = web.post(
        URL,
        input_stream=stream,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert_problem(response, 413, "too_large")
    assert stream.tell() < 300_000
    assert work.store.page().jobs == []


def test_a_body_of_unknown_length_is_accepted(web: FlaskClient, work: Work) -> None:
    response = web.post(
        URL,
        input_stream=io.BytesIO(PNG),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.status_code == 202
    assert work.claim().items[0].upload == PNG


def test_without_a_model_it_must_be_clear_which_is_meant(
    web: FlaskClient, settings: Settings
) -> None:
    publish(settings, "birds")
    body = assert_problem(web.post(URL, data=PNG), 400, "invalid_request")
    assert "birds, cats-dogs" in body["detail"]


def test_without_any_model_the_answer_says_so(settings: Settings, client: redis.Redis) -> None:
    with web_client(settings) as web:
        body = assert_problem(web.post(URL, data=PNG), 404, "model_not_found")
    assert "freeze one first" in body["detail"]


# -- idempotency ------------------------------------------------------------------------------


def test_a_repeated_submission_returns_the_first_job(web: FlaskClient, work: Work) -> None:
    headers = {"Idempotency-Key": "order 66"}
    first = web.post(URL, headers=headers, **_form())
    second = web.post(URL, headers=headers, **_form())
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.get_json() == second.get_json()
    assert first.headers["Location"] == second.headers["Location"]
    assert len(work.store.page().jobs) == 1


def test_a_repetition_after_the_end_returns_the_result(web: FlaskClient, work: Work) -> None:
    headers = {"Idempotency-Key": "k"}
    web.post(URL, headers=headers, data=PNG)
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    assert web.post(URL, headers=headers, data=PNG).get_json()["status"] == "succeeded"


@pytest.mark.parametrize(
    "other", [_form(photograph(size=(9, 9))), _form(top="3"), _form(model="cats-dogs@1")]
)
def test_a_key_is_refused_for_another_request(web: FlaskClient, other: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": "k"}
    web.post(URL, headers=headers, **_form())
    assert_problem(web.post(URL, headers=headers, **other), 422, "idempotency_key_reused")


def test_a_key_sent_by_many_at_once_makes_one_job(settings: Settings, work: Work) -> None:
    publish(settings)
    together = threading.Barrier(8)
    with web_client(settings) as first, web_client(settings) as second:  # as two processes

        def submit(number: int) -> str:
            web = (first, second)[number % 2].application.test_client()
            together.wait()
            response = web.post(URL, data=PNG, headers={"Idempotency-Key": "k"})
            assert response.status_code == 202
            return str(response.get_json()["id"])

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(submit, range(8)))) == 1
    assert len(work.store.page().jobs) == 1


# -- waiting ----------------------------------------------------------------------------------


@pytest.fixture
def worker(work: Work) -> Iterator[None]:
    """Let every job succeed as soon as it is there."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(0.01):
            claim = work.other_claims.claim(CLASSIFYING, 1)
            if claim is not None:
                work.other_claims.complete(claim, success(claim, {"predictions": []}))

    thread = threading.Thread(target=run)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("request_", "applied"),
    [
        ({"headers": {"Prefer": "wait=4"}}, "wait=4"),
        ({"headers": {"Prefer": "respond-async, wait=4"}}, "wait=4"),
        ({"headers": {"Prefer": 'Wait = "4"; foo'}}, "wait=4"),
        ({"headers": {"Prefer": "wait=900"}}, "wait=5"),
        ({"query_string": {"wait": "4"}}, None),
        ({"query_string": {"wait": "4.5"}, "headers": {"Prefer": "wait=0"}}, None),
    ],
)
def test_a_submission_can_wait_for_its_result(
    web: FlaskClient, request_: dict[str, Any], applied: str | None
) -> None:
    response = web.post(URL, data=PNG, **request_)
    assert response.status_code == 200
    job = response.get_json()
    assert (job["status"], job["result"]) == ("succeeded", {"predictions": []})
    assert response.headers["Location"] == job["links"]["self"]
    assert response.headers.get("Preference-Applied") == applied
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize(
    "prefer", ["wait=0", "wait", "wait=-1", "wait=soon", "await=4", "wait=99999999"]
)
def test_what_asks_for_no_wait_gets_none(web: FlaskClient, prefer: str) -> None:
    response = web.post(URL, data=PNG, headers={"Prefer": prefer})
    assert response.status_code == 202
    assert response.headers["Retry-After"] == "1"


def test_a_wait_that_is_over_is_answered_as_accepted(web: FlaskClient) -> None:
    response = web.post(URL, data=PNG, headers={"Prefer": "wait=1"})
    assert response.status_code == 202
    assert response.get_json()["status"] == "queued"
    assert response.headers["Preference-Applied"] == "wait=1"


def test_a_failed_job_that_was_waited_for_is_answered_with_its_error(
    web: FlaskClient, work: Work
) -> None:
    def fail() -> None:
        wait_until(lambda: work.store.page().jobs, within_s=5, what="the job is there")
        claim = work.claim()
        work.claims.complete(claim, failure(claim))

    thread = threading.Thread(target=fail)
    thread.start()
    response = web.post(URL, data=PNG, headers={"Prefer": "wait=5"})
    thread.join()
    assert response.status_code == 200
    assert response.get_json()["status"] == "failed"
    assert response.get_json()["error"]["code"] == "truncated"


# -- a full or failing Redis ------------------------------------------------------------------


def test_nothing_is_accepted_while_redis_is_almost_full(
    web: FlaskClient, client: redis.Redis
) -> None:
    used = client.info("memory")["used_memory"]
    client.config_set("maxmemory", str(round(used * 1.2)))
    try:
        response = web.post(URL, data=PNG)
        body = assert_problem(response, 503, "overloaded")
        assert response.headers["Retry-After"] == "5"
        assert "memory" in body["detail"]
        assert web.get("/v1/jobs").status_code == 200
    finally:
        client.config_set("maxmemory", "0")


@pytest.mark.usefixtures("web")
def test_an_image_that_would_fill_redis_is_refused(settings: Settings, client: redis.Redis) -> None:
    image = PNG + bytes(90_000)

    def refused() -> bool:
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", str(round((used + 50_000) / 0.75)))
        with web_client(settings) as fresh:  # one that has not looked at the memory yet
            response = fresh.post(URL, data=image)
        if response.status_code == 202:
            # Only if Redis has freed what other tests left to it, so that there was room.
            wait_until(
                lambda: client.info("memory")["used_memory"] < used + 60_000,
                within_s=5,
                what="Redis holds no more than it was allowed to",
            )
            return False
        return bool(assert_problem(response, 503, "overloaded"))

    try:
        wait_until(refused, within_s=10, what="an image that is larger than the room is refused")
    finally:
        client.config_set("maxmemory", "0")


def test_a_full_redis_is_said_to_be_full(web: FlaskClient, client: redis.Redis) -> None:
    web.post(URL, data=PNG)  # the memory is looked at only now and then
    with filled(client):
        response = web.post(URL, data=PNG)
    body = assert_problem(response, 503, "overloaded")
    assert "full" in body["detail"]
    assert response.headers["Retry-After"] == "5"


def test_a_job_is_accepted_though_its_ticket_cannot_be_sent(
    settings: Settings, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no broker")

    publish(settings)
    monkeypatch.setattr("api.services.process.send_ticket", broken)
    with web_client(settings) as web:
        assert web.post(URL, data=PNG).status_code == 202
    work.let_tickets_get_lost()
    assert work.sweep().lost_tickets == (Lane.INTERACTIVE,)


def test_an_accepted_job_is_answered_as_such_though_redis_fails_right_after(
    web: FlaskClient, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = Scripts.execute

    def run_then_fail(self: Scripts, made: Call) -> Any:
        answer = execute(self, made)
        if made.script == "accept":
            monkeypatch.setattr(redis.Redis, "execute_command", _fail)
        return answer

    def _fail(*_: object, **__: object) -> None:
        raise redis.exceptions.ConnectionError("gone")

    with monkeypatch.context():
        monkeypatch.setattr(Scripts, "execute", run_then_fail)
        response = web.post(URL, data=PNG, headers={"Prefer": "wait=1"})
        monkeypatch.undo()
    assert response.status_code == 202
    assert work.get(response.get_json()["id"]).status == "queued"
