"""Predictions whose clients wait for the answer, and what happens where there is none."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import redis

from tests.support.api import photograph
from tests.support.gunicorn import HOST, Api, answer, connect
from tests.support.polling import wait_until
from tests.support.work import Work, failure, filled, success
from worker.jobs.keys import key
from worker.jobs.records import Status
from worker.redis.connection import connect as connect_store
from worker.settings import Settings

RESULT = {"predictions": [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    running = Api(tmp_path_factory.mktemp("short") / "data")
    yield running
    running.remove()


@pytest.fixture
def client(api: Api) -> Iterator[redis.Redis]:
    with connect_store(Settings(redis_url=api.redis.url)) as store:
        store.flushall()
        yield store


@pytest.fixture
def work(api: Api, client: redis.Redis) -> Work:
    return Work(client, Settings(redis_url=api.redis.url))


def submit(api: Api, wait: int = 20, /, **headers: str) -> httpx.Response:
    return httpx.post(
        f"http://{HOST}:{api.ports[0]}/v1/predictions?model=cats-dogs&top=2",
        content=photograph(),
        headers={"Content-Type": "image/png", "Prefer": f"wait={wait}", **headers},
        timeout=30,
    )


def waiting(client: redis.Redis) -> int:
    return int(client.zcard(key("index", "prediction", "queued")))


def accepted(client: redis.Redis, count: int = 1) -> None:
    wait_until(lambda: waiting(client) == count, within_s=5, what="the jobs are accepted")


def finish(work: Work) -> None:
    claim = work.claim()
    work.claims.complete(claim, success(claim, RESULT))


def request(wait: int = 20) -> bytes:
    image = photograph()
    return (
        b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Prefer: wait=%d\r\nContent-Length: %d\r\n\r\n%b" % (wait, len(image), image)
    )


def bodies(api: Api, work: Work, **headers: str) -> tuple[httpx.Response, dict[str, object]]:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(submit, api, **headers)
        accepted(work.client)
        finish(work)
        response = asked.result()
    return response, response.json()


# -- what is answered ---------------------------------------------------------------------------


def test_what_is_waited_for_is_answered_with_its_job(api: Api, work: Work) -> None:
    response, body = bodies(api, work)
    assert response.status_code == 200
    assert response.headers["Location"] == f"/v1/jobs/{body['id']}"
    assert response.headers["Preference-Applied"] == "wait=20"
    assert response.headers["Cache-Control"] == "no-store"
    assert body["links"] == {
        "self": f"/v1/jobs/{body['id']}",
        "results": None,
        "events": f"/v1/jobs/{body['id']}/events",
    }
    assert body["result"] == RESULT
    url = f"http://{HOST}:{api.ports[0]}{response.headers['Location']}"
    assert httpx.get(url).json() == body


def test_an_answer_with_all_of_many_classes_comes_whole(api: Api, work: Work) -> None:
    rows = [{"label": f"a class of ImageNet, {n}", "score": 1 / (n + 1)} for n in range(21_843)]
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(submit, api)
        accepted(work.client)
        claim = work.claim()
        work.claims.complete(claim, success(claim, {"predictions": rows}))
        response = asked.result()
    assert response.status_code == 200
    assert response.json()["result"]["predictions"] == rows


def test_a_form_is_accepted_as_a_body_is(api: Api, work: Work) -> None:
    def send() -> httpx.Response:
        return httpx.post(
            f"http://{HOST}:{api.ports[0]}/v1/predictions",
            files={"image": ("ä photo.png", photograph(), "image/png")},
            data={"model": "cats-dogs@1", "top": "1"},
            headers={"Prefer": "wait=20"},
            timeout=30,
        )

    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(send) for _ in range(3)]
        accepted(work.client, 3)
        claim = work.claim()
        assert [(one.upload, one.options) for one in claim.items] == [
            (photograph(), {"top": 1})
        ] * 3
        work.claims.complete(claim, success(claim, RESULT))
        assert [one.result().status_code for one in asked] == [200] * 3


def test_a_failed_prediction_is_answered_with_its_error(api: Api, work: Work) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(submit, api)
        accepted(work.client)
        claim = work.claim()
        work.claims.complete(claim, failure(claim))
        response = asked.result()
    assert response.status_code == 200
    assert response.json()["error"] == {"code": "truncated", "message": "It is."}


def test_many_more_than_there_are_threads_wait_and_all_else_is_answered(
    api: Api, work: Work
) -> None:
    held = [connect(api) for _ in range(60)]
    for connection in held:
        connection.sendall(request())
    accepted(work.client, 60)
    assert httpx.get(f"http://{HOST}:{api.ports[0]}/healthz", timeout=5).status_code == 200
    while waiting(work.client):
        finish(work)
    for connection in held:
        assert answer(connection).status == 200
        connection.close()


def test_a_connection_serves_one_request_after_another(api: Api, work: Work) -> None:
    with connect(api) as connection:
        for _ in range(3):
            connection.sendall(request())
            accepted(work.client)
            finish(work)
            assert answer(connection).status == 200
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(connection).status == 200


# -- what does not go well ------------------------------------------------------------------------


def test_who_asks_for_what_there_is_not_is_told_so(api: Api, work: Work) -> None:
    url = f"http://{HOST}:{api.ports[0]}/v1/predictions"
    wait = {"Prefer": "wait=5"}
    unknown = httpx.post(f"{url}?model=nothing", content=photograph(), headers=wait)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "model_not_found")
    wrong = httpx.post(f"{url}?top=0", content=photograph(), headers=wait)
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_request")
    text = httpx.post(url, content=b"no image at all", headers=wait)
    assert (text.status_code, text.json()["code"]) == (415, "unsupported_media")
    assert waiting(work.client) == 0


def test_a_job_that_does_not_end_in_time_is_answered_with_202(api: Api, work: Work) -> None:
    began = time.monotonic()
    response = submit(api, 1)
    assert 0.9 < time.monotonic() - began < 5
    assert response.status_code == 202
    assert response.json()["status"] == "queued"
    assert response.headers["Preference-Applied"] == "wait=1"
    assert waiting(work.client) == 1


def test_a_client_that_goes_is_forgotten_and_its_job_done(api: Api, work: Work) -> None:
    with connect(api) as connection:
        connection.sendall(request())
        accepted(work.client)
    finish(work)
    (raw,) = work.client.zrange(key("index", "prediction", "succeeded"), 0, -1, desc=True)[:1]
    assert work.get(raw.decode()).status is Status.SUCCEEDED
    assert bodies(api, work)[0].status_code == 200


def test_requests_that_are_sent_one_behind_the_other_are_answered_in_turn(
    api: Api, work: Work
) -> None:
    with connect(api) as connection:
        connection.sendall(request())
        accepted(work.client)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        finish(work)
        received = b""
        while received.count(b"HTTP/1.1 200") < 2 or not received.rstrip().endswith(b"}"):
            content = connection.recv(65536)
            assert content
            received += content
    assert b'"status":"succeeded"' in received.split(b"HTTP/1.1 200")[1]
    assert waiting(work.client) == 0  # it was accepted once


def test_a_full_store_is_said_to_be_full(api: Api, work: Work) -> None:
    # Its memory is looked at every half second; from then on nothing is even sent to it.
    with filled(work.client):
        wait_until(
            lambda: (
                (response := submit(api, 5)).status_code == 503
                and response.json()["code"] == "overloaded"
            ),
            within_s=5,
            what="nothing is accepted",
        )
        assert waiting(work.client) == 0
    wait_until(lambda: submit(api, 1).status_code == 202, within_s=5, what="it is again")


def test_a_job_is_found_again_where_the_line_to_the_store_breaks(api: Api, work: Work) -> None:
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(submit, api) for _ in range(2)]
        accepted(work.client, 2)
        for row in work.client.client_list():
            if row["id"] != str(work.client.client_id()):
                work.client.client_kill_filter(_id=row["id"])
        finish(work)
        answers = [one.result() for one in asked]
    assert [one.status_code for one in answers] == [200, 200]
    assert len({one.json()["id"] for one in answers}) == 2
    assert waiting(work.client) == 0  # none was accepted twice


def test_a_store_that_falls_silent_is_noticed_and_used_again(api: Api, work: Work) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(submit, api)
        accepted(work.client)
        api.redis.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        response = asked.result()
        assert time.monotonic() - began < 10
        api.redis.process.send_signal(signal.SIGCONT)
    # It was accepted, which is what is known; where to look for its answer is said.
    assert (response.status_code, response.json()["status"]) == (202, "queued")
    finish(work)
    wait_until(lambda: bodies(api, work)[0].status_code == 200, within_s=20, what="all is well")


def test_a_process_that_stops_says_where_to_look(api: Api, work: Work) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(submit, api)
        accepted(work.client)
        assert api.stop(api.ports[0]) == 0
        response = asked.result()
    assert response.status_code == 202
    assert work.get(response.json()["id"]).status is Status.QUEUED
    api.start(api.ports[0])
