"""The addresses of servers, and where each request goes."""

from collections.abc import Callable

import httpx
import pytest

from api.cli.command_client import CommandClient
from tests.support.command_line import version
from tests.support.listed_server import URL, Server, answer, job
from worker.errors import InvalidRequestError

pytestmark = pytest.mark.usefixtures("exact_pauses", "no_proxy")


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
