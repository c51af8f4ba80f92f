"""What the client tries again, how long it waits, and what it gives up."""

import httpx
import pytest

from api.client import ConnectionLostError, ServerError, ServerUnreachableError
from api.client.waits import Waits
from tests.support.listed_server import FREEZE, ID, URL, Server, answer, job, problem
from worker.errors import InvalidRequestError

pytestmark = pytest.mark.usefixtures("exact_pauses", "no_proxy")


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
