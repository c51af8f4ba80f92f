"""Too much waits, or one client sends too much: submissions are refused and reads go on."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.access.clients import client_name
from tests.support.api import assert_problem, photograph, publish, web_client
from tests.support.polling import wait_until
from tests.support.work import Work, freeze, prediction, success
from worker.jobs.backlog import backlogs
from worker.jobs.keys import key
from worker.jobs.records import Kind, Lane, Origin
from worker.jobs.submissions import Submission
from worker.settings import Settings

Client = Callable[..., FlaskClient]


@pytest.fixture
def web(settings: Settings, client: redis.Redis) -> Iterator[Client]:
    """Give clients of API processes with some settings changed."""
    publish(settings)
    with ExitStack() as stack:
        yield lambda **changed: stack.enter_context(web_client(settings.model_copy(update=changed)))


def predict(web: FlaskClient, **options: Any) -> TestResponse:
    return web.post("/v1/predictions", data=photograph(), **options)


def refused(response: TestResponse) -> str:
    """Check that a submission was refused for now and return what was said."""
    body = assert_problem(response, 503, "overloaded")
    assert int(response.headers["Retry-After"]) > 0
    return str(body["detail"])


# -- the queue --------------------------------------------------------------------------------


def test_no_more_predictions_wait_than_may(web: Client, work: Work) -> None:
    server = web(max_queue_depth=2)
    accepted = [predict(server) for _ in range(2)]
    assert [response.status_code for response in accepted] == [202, 202]
    said = refused(predict(server))
    assert said == (
        "Nothing was accepted, because 2 predictions wait already, and 2 may: try again later."
    )
    for response in accepted:  # reading goes on
        assert server.get(response.headers["Location"]).status_code == 200
    work.claim(1)
    assert predict(server).status_code == 202


def test_a_refused_submission_leaves_nothing(web: Client, work: Work, client: redis.Redis) -> None:
    server = web(max_queue_depth=1)
    predict(server)
    wait_until(
        lambda: client.llen(key("tickets", Lane.INTERACTIVE)),
        within_s=10,
        what="the first one's ticket is sent",
    )
    before = work.key_names()
    refused(predict(server))
    assert work.key_names() == before


def test_the_limit_holds_over_all_api_processes(web: Client) -> None:
    one, other = web(max_queue_depth=1), web(max_queue_depth=1)
    assert predict(one).status_code == 202
    refused(predict(other))


def test_a_repeated_request_finds_its_job_in_a_full_queue(web: Client) -> None:
    server = web(max_queue_depth=1)
    first = predict(server, headers={"Idempotency-Key": "k"})
    again = predict(server, headers={"Idempotency-Key": "k"})
    assert again.status_code == 202
    assert again.headers["Location"] == first.headers["Location"]
    refused(predict(server, headers={"Idempotency-Key": "another"}))


def test_nothing_is_added_behind_what_has_waited_too_long(web: Client, work: Work) -> None:
    server = web(max_queue_age_s=60.0)
    job_id = work.accept()
    assert predict(server).status_code == 202
    work.let_wait(job_id, 61)
    assert "has waited for 61 s, and 60 s are allowed" in refused(predict(server))
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    assert predict(server).status_code == 202


def test_a_limit_of_nothing_is_no_limit(web: Client, work: Work) -> None:
    server = web(max_queue_depth=0, max_queue_age_s=0.0)
    work.let_wait(work.accept(), 10**6)
    assert predict(server).status_code == 202


def test_lanes_have_limits_of_their_own(web: Client, work: Work) -> None:
    server = web(max_queue_depth=1, max_freezing_queue_depth=1, max_bulk_queue_depth=1)
    work.accept()
    assert server.post("/v1/freezes", json={"source": "m", "name": "m"}).status_code == 202
    assert "freezes and inspections" in refused(
        server.post("/v1/freezes", json={"source": "m", "name": "m"})
    )
    opened = server.post("/v1/batches", json={"open": True})
    location = opened.headers["Location"]
    batch = location.rpartition("/")[2]
    # A batch that nobody sent an image for does not wait for a worker.
    assert server.post("/v1/batches", json={"open": True}).status_code == 202
    image = {"images": [(io.BytesIO(photograph()), "a.png")]}
    assert server.post(f"/v1/batches/{batch}/images", data=image).status_code == 200
    assert "1 batches wait already" in refused(server.post("/v1/batches", json={"open": True}))
    refused(predict(server))
    assert server.get(location).status_code == 200


def test_a_large_upload_is_refused_before_it_is_read(web: Client, work: Work) -> None:
    server = web(max_freezing_queue_depth=1, max_bulk_queue_age_s=10.0)
    work.accept(freeze())
    waiting = work.accept(
        Submission(kind=Kind.BATCH, lane=Lane.BULK, model=None, origin=Origin.FOLDER)
    )
    work.let_wait(waiting, 11)

    class Unread(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("the body was read")

    for path in ("/v1/freezes", "/v1/batches"):
        answer = server.post(
            path,
            input_stream=Unread(b"x"),
            content_length=10**6,
            content_type="multipart/form-data; boundary=x",
        )
        refused(answer)


def test_a_retried_job_is_not_counted_twice(client: redis.Redis, work: Work) -> None:
    for submission in (prediction(), prediction(), freeze()):
        work.accept(submission)
    work.claim(1)
    work.let_leases_run_out()
    work.sweep()
    found = backlogs(client)
    assert {lane: backlog.depth for lane, backlog in found.items()} == {
        Lane.INTERACTIVE: 1,  # what was begun once is not counted again
        Lane.BULK: 0,
        Lane.FREEZING: 1,
    }


def test_the_backlog_is_among_the_numbers(web: Client, work: Work) -> None:
    work.let_wait(work.accept(), 100)
    text = web().get("/metrics").text
    assert 'permafrost_queue_depth{lane="interactive"} 1.0' in text
    assert 'permafrost_queue_age_seconds{lane="interactive"} 100.' in text


# -- one client -------------------------------------------------------------------------------


def test_a_client_that_sends_too_much_is_told_when_to_come_back(
    web: Client, client: redis.Redis
) -> None:
    server = web(client_rate=0.1, client_burst=2)
    assert [predict(server).status_code for _ in range(2)] == [202, 202]
    response = predict(server)
    body = assert_problem(response, 429, "rate_limited")
    assert "127.0.0.1" in body["detail"]
    assert 0 < int(response.headers["Retry-After"]) <= 10
    assert server.get("/v1/jobs").status_code == 200
    assert predict(server, environ_base={"REMOTE_ADDR": "10.0.0.9"}).status_code == 202
    client.hincrby(key("rate", "127.0.0.1"), "at", -10_000)  # as if ten seconds had gone by
    assert [predict(server).status_code for _ in range(2)] == [202, 429]


def test_the_rate_holds_over_all_api_processes(web: Client, client: redis.Redis) -> None:
    one, other = (web(client_rate=0.01, client_burst=1) for _ in range(2))
    assert predict(one).status_code == 202
    assert predict(other).status_code == 429
    assert 0 < client.ttl(key("rate", "127.0.0.1")) < 200


def test_by_default_nobody_is_held_back(web: Client, client: redis.Redis) -> None:
    server = web()
    assert {predict(server).status_code for _ in range(120)} == {202}
    assert not client.exists(key("rate", "127.0.0.1"))


@pytest.mark.parametrize(
    ("proxies", "forwarded", "counted"),
    [
        (0, "1.2.3.4", "127.0.0.1"),  # anybody can write that header
        (1, "1.2.3.4", "1.2.3.4"),
        (1, "9.9.9.9, 1.2.3.4", "1.2.3.4"),
        (2, "1.2.3.4, 10.0.0.1", "1.2.3.4"),
        (1, "nonsense:key", "local"),
    ],
)
def test_a_proxy_is_believed_only_where_there_is_one(
    web: Client, client: redis.Redis, proxies: int, forwarded: str, counted: str
) -> None:
    server = web(client_rate=0.01, trusted_proxies=proxies)
    predict(server, headers={"X-Forwarded-For": forwarded})
    assert client.exists(key("rate", counted))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "local"),
        (None, "local"),
    ],
)
def test_a_client_is_its_address_or_network(address: str | None, name: str) -> None:
    assert client_name(address) == name
