"""Waiting for a job."""

import pytest

from api.client import (
    ServerError,
)
from api.client.reading import prediction_job
from tests.support.listed_server import Server, answer, job, problem

pytestmark = pytest.mark.usefixtures("exact_pauses", "no_proxy")


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
