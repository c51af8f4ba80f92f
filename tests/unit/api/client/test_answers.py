"""What each answer means to the client."""

import httpx
import pytest

from api.client import (
    NotPermafrostError,
    ServerError,
)
from tests.support.listed_server import Answer, Server, answer, problem
from worker.errors import PermafrostError

pytestmark = pytest.mark.usefixtures("exact_pauses", "no_proxy")


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
