"""Clients that do not read, send a byte now and then, or only keep connections open."""

import http.client
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.api import photograph
from tests.support.gunicorn import HOST, Api
from tests.support.polling import wait_until

CLIENTS = 300  # with 2 threads
PATIENCE_S = 8.0  # for what takes a few milliseconds; with threads held it takes for ever
GRAPH = bytes(8_000_000)  # more than lies between two sockets
LONG = "Content-Length: 999999999"
HEAD = b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    running = Api(tmp_path_factory.mktemp("slow") / "data", graph=GRAPH)
    yield running
    running.remove()


def get(path: str) -> bytes:
    return b"GET " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"


def serves(api: Api) -> None:
    """Fail unless health is answered and a prediction accepted, both soon."""
    with httpx.Client(base_url=f"http://{HOST}:{api.ports[0]}", timeout=PATIENCE_S) as client:
        for _ in range(3):
            assert client.get("/healthz").status_code == 200
            assert client.post("/v1/predictions", content=photograph()).status_code == 202


@contextmanager
def clients(
    api: Api, request: Callable[[int], bytes], count: int = CLIENTS
) -> Iterator[list[socket.socket]]:
    """Give connections on which something was sent and of which nothing is read."""
    with ExitStack() as stack:
        opened = []
        for number in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(20)
            client.connect((HOST, api.ports[0]))
            client.sendall(request(number))
            opened.append(client)
        yield opened


@pytest.fixture(autouse=True)
def nothing_is_left(api: Api) -> Iterator[None]:
    """Compare descriptors, threads and memory before and after."""
    serves(api)
    worker = api.worker()
    before = worker.num_fds(), worker.num_threads(), worker.memory_info().rss
    yield
    wait_until(lambda: worker.num_fds() <= before[0] + 5, within_s=30, what="all is closed")
    assert worker.num_threads() <= before[1] + 2
    assert worker.memory_info().rss < before[2] + 100_000_000
    serves(api)


@pytest.mark.parametrize(
    "path",
    [
        "/openapi.json",
        "/v1/models/cats-dogs/versions/1/graph",
        "/v1/models/cats-dogs/versions/1/savedmodel",
    ],
)
def test_clients_that_do_not_read_hold_nobody_up(api: Api, path: str) -> None:
    count = 60 if path.endswith("savedmodel") else CLIENTS  # each is put together in a thread
    with clients(api, lambda _: get(path) * (1 if "graph" in path else 30), count) as opened:
        serves(api)
        if path.endswith("graph"):  # all of it is there for who begins to read late
            response = http.client.HTTPResponse(opened[7])
            response.begin()
            assert response.read() == GRAPH
        for client in opened[::3]:  # reset, not closed
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_clients_that_read_a_byte_now_and_then_hold_nobody_up(api: Api) -> None:
    path = "/v1/models/cats-dogs/versions/1/graph"
    over = threading.Event()
    with clients(api, lambda _: get(path)) as opened:

        def read() -> None:
            while not over.wait(0.2):
                for client in opened:
                    with suppress(OSError):
                        client.recv(1)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            serves(api)
        finally:
            over.set()
            reader.join()


def test_clients_that_never_read_what_they_ask_for_again_and_again(api: Api) -> None:
    with clients(api, lambda _: get("/openapi.json") * 3000, 20):
        serves(api)


def test_slow_uploads_hold_nobody_up(api: Api) -> None:
    half = HEAD + b"Content-Length: 600000\r\n\r\n" + photograph() + bytes(300_000)
    chunked = (
        HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"1\r\nx\r\n" * 4_000
        + b"fffff\r\n"
        + bytes(300_000)
    )
    kinds = (half, chunked, HEAD, HEAD + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", b"G")
    with clients(api, lambda number: kinds[number % len(kinds)], 200) as opened:
        serves(api)
        for client in opened[::5]:  # and who goes on is served
            client.sendall(bytes(300_000 - len(photograph())))
        for client in opened[::5]:
            response = http.client.HTTPResponse(client)
            response.begin()
            assert response.status == 202


def test_streams_of_events_that_nobody_reads_leave_threads_for_others(api: Api) -> None:
    url = f"http://{HOST}:{api.ports[0]}/v1/predictions"
    job = httpx.post(url, content=photograph(), timeout=20).headers["Location"]
    with clients(api, lambda _: get(f"{job}/events"), 100):
        serves(api)
    time.sleep(0.5)


def test_a_client_that_says_that_it_sends_no_more_is_answered(api: Api) -> None:
    for path in ("/healthz", "/v1/models/cats-dogs/versions/1/graph"):
        with clients(api, lambda _, path=path: get(path), 1) as (client,):  # type: ignore[misc]
            client.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(client)
            response.begin()
            assert response.status == 200
            assert len(response.read()) in (len(GRAPH), int(response.headers["Content-Length"]))


# -- what is refused before it is read --------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999", 413),
        ("POST /v1/freezes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999", 413),
        ("POST /v1/batches HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999", 413),
        ("POST /v1/batches HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 999999999", 421),
        ("POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999", 404),
        ("PUT /v1/batches HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999", 405),
        (
            f"POST /v1/batches HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.test\r\n{LONG}",
            403,
        ),
        (
            f"POST /v1/predictions HTTP/1.1\r\nHost: evil.test\r\nExpect: 100-continue\r\n{LONG}",
            421,
        ),
    ],
)
def test_what_would_be_refused_is_refused_before_its_body_is_read(
    api: Api, head: str, status: int
) -> None:
    with clients(api, lambda _: head.encode() + b"\r\n\r\nxx", 1) as (client,):
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == status
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.headers["Connection"] == "close"
        assert response.read().startswith(b"{")


def test_chunks_of_one_byte_are_refused_where_they_are_many(api: Api) -> None:
    with clients(api, lambda _: HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 1) as (client,):
        client.sendall(b"1\r\nx\r\n" * 6000)
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == 400


def test_chunks_without_end_are_refused_at_the_limit(api: Api) -> None:
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with clients(api, lambda _: HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 1) as (client,):
        with suppress(OSError):
            for _ in range(40):
                client.sendall(chunk)
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == 413


# -- connections ------------------------------------------------------------------------------


def test_more_idle_connections_than_there_may_be_keep_nobody_out(
    tmp_path: Path,
) -> None:
    crowded = Api(tmp_path / "data", options=("--worker-connections", "60"))
    try:
        with clients(crowded, lambda number: b"G" * (number % 2), 200):
            serves(crowded)
            assert crowded.worker().num_fds() < 120
        serves(crowded)
    finally:
        crowded.remove()


def test_health_is_answered_while_all_threads_wait(api: Api) -> None:
    api.redis.process.send_signal(signal.SIGSTOP)
    try:
        with clients(api, lambda _: get("/v1/jobs") * 2, 20) as opened:
            asked = httpx.get(f"http://{HOST}:{api.ports[0]}/healthz", timeout=PATIENCE_S)
            assert asked.status_code == 200
            # The last of so many has to wait for two threads that each wait for Redis.
            opened[-1].setblocking(False)
            with pytest.raises(BlockingIOError):
                opened[-1].recv(1)
    finally:
        api.redis.process.send_signal(signal.SIGCONT)
