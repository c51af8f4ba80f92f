"""The API's door: requests of all forms that HTTP/1.1 has, one after another, and slow ones."""

import http.client
import io
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httptools
import httpx
import pytest

from tests.support.api import photograph
from tests.support.gunicorn import HOST, Api, answer, connect
from tests.support.polling import wait_until


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    running = Api(tmp_path_factory.mktemp("patient") / "data")
    yield running
    running.remove()


# -- requests ---------------------------------------------------------------------------------


def test_a_request_in_pieces_is_one_request(api: Api) -> None:
    image = photograph()
    request = (
        b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(image), image)
    )
    with connect(api) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(0, len(request), 7):
            connection.sendall(request[place : place + 7])
        assert answer(connection).status == 202
        connection.sendall(request)  # and another one on the same connection
        assert answer(connection).status == 202


def test_requests_that_are_sent_at_once_are_answered_in_turn(api: Api) -> None:
    request = b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(api) as connection:
        connection.sendall(request % b"healthz" + request % b"v1/nothing" + request % b"healthz")
        received = b""
        while received.count(b"HTTP/1.1 ") < 3 or not received.rstrip().endswith(b"}"):
            content = connection.recv(65536)
            assert content
            received += content
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


class _Strict:
    """Reads an answer as Node.js does, which refuses what others pass over."""

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.is_whole = False

    def on_header(self, name: bytes, _value: bytes) -> None:
        self.names.append(name.lower())

    def on_message_complete(self) -> None:
        self.is_whole = True


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz", 200),
        (b"GET /readyz", 503),
        (b"POST /v1/predictions", 202),
        (b"POST /v1/predictions?wait=0.01", 202),
        (b"GET %b", 200),
        (b"GET %b?wait=0.01", 200),
        (b"GET /v1/jobs/nothing", 404),
        (b"GET /v1/models", 200),
        (b"GET /", 200),
        (b"OPTIONS /v1/jobs", 200),
        (b"OPTIONS *", 204),  # of the server itself (RFC 9110, 9.3.7)
    ],
)
def test_no_header_of_an_answer_is_repeated(api: Api, request_: bytes, status: int) -> None:
    job = httpx.post(f"http://{HOST}:{api.ports[0]}/v1/predictions", content=photograph())
    image = photograph() if request_.startswith(b"POST") else b""
    head = request_.replace(b"%b", job.headers["Location"].encode()) + b" HTTP/1.1\r\n"
    with connect(api) as connection:
        connection.sendall(
            head + b"Host: localhost\r\nConnection: close\r\nContent-Type: image/png\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(image), image)
        )
        answered = _Strict()
        parser = httptools.HttpResponseParser(answered)
        while content := connection.recv(65536):
            parser.feed_data(content)
    assert answered.is_whole
    assert parser.get_status_code() == status
    repeated = {name for name in answered.names if answered.names.count(name) > 1}
    assert repeated <= {b"vary", b"set-cookie"}


def test_a_large_body_is_read_by_a_thread(api: Api) -> None:
    noise = io.BytesIO(photograph() + bytes(5_000_000))  # what follows the picture is passed over
    url = f"http://{HOST}:{api.ports[0]}/v1/predictions"

    def pieces() -> Iterator[bytes]:
        while piece := noise.read(100_000):
            yield piece

    assert httpx.post(url, content=pieces(), timeout=30).status_code == 202
    assert httpx.post(url, content=noise.getvalue(), timeout=30).status_code == 202
    response = httpx.post(url, content=b"x" * 30_000_000, timeout=30)
    assert response.status_code == 413


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("files", [1, 2, 32, 100])
def test_the_connection_is_kept_after_a_refused_upload_or_said_to_be_closed(
    api: Api, files: int, chunked: bool
) -> None:
    one = b'--b\r\nContent-Disposition: form-data; name="nothing"; filename="a"\r\n\r\n%b\r\n'
    form = one % bytes(22_000) * files + b"--b--\r\n"
    head = (
        b"POST /v1/batches HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n"
    )
    if chunked:
        request = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(form), form)
        request += b"0\r\n\r\n"
    else:
        request = head + b"Content-Length: %d\r\n\r\n%b" % (len(form), form)
    with connect(api) as connection:
        connection.sendall(request)
        refused = answer(connection)
        assert refused.status == 400
        kept = refused.headers["Connection"] != "close"
        assert kept or files > 1
        if kept:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(connection).status == 200


def test_a_client_that_waits_to_be_asked_is_asked(api: Api) -> None:
    image = photograph()
    with connect(api) as connection:
        connection.sendall(
            b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(image)
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(image)
        assert answer(connection).status == 202


def test_more_slow_connections_than_threads_hold_nobody_up(api: Api) -> None:
    slow = [connect(api) for _ in range(20)]
    for number, connection in enumerate(slow):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" if number % 2 else b"")
    for _ in range(5):
        assert httpx.get(f"http://{HOST}:{api.ports[0]}/healthz", timeout=5).status_code == 200
    for connection in slow[1::2]:  # they are served in the end
        connection.sendall(b"\r\n")
        assert answer(connection).status == 200
    for connection in slow:
        connection.close()


def test_connections_that_wait_do_not_hold_up_a_stop(api: Api) -> None:
    with connect(api) as idle, connect(api) as begun:
        begun.sendall(b"GET /")
        assert httpx.get(f"http://{HOST}:{api.ports[0]}/healthz").status_code == 200
        started = time.monotonic()
        assert api.stop(api.ports[0]) == 0
        assert time.monotonic() - started < 15
        assert idle.recv(1) == b""
    api.start(api.ports[0])


def test_a_worker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    orphaned = Api(tmp_path / "data")
    worker = orphaned.worker()
    orphaned.remove()  # which kills gunicorn's main processes
    wait_until(
        lambda: not worker.is_running() or worker.status() == "zombie",
        within_s=20,
        what="the worker has ended",
    )


# -- forms of requests --------------------------------------------------------------------------

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
PICTURE = b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def chunks(content: bytes, size: int) -> bytes:
    """Return content in chunks that have extensions, with a trailer behind them."""
    pieces = [content[place : place + size] for place in range(0, len(content), size)]
    body = b"".join(b'%x;a=b;c="d"\r\n%b\r\n' % (len(piece), piece) for piece in pieces)
    return body + b"0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_chunks_with_extensions_and_trailers_are_a_body(api: Api, size: int) -> None:
    with connect(api) as connection:
        connection.sendall(PICTURE + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.sendall(chunks(photograph(), size))
        assert answer(connection).status == 202
        connection.sendall(GET)  # what follows the trailers is the next request
        assert answer(connection).status == 200


@pytest.mark.parametrize(
    ("path", "length"), [(b"/healthz", True), (b"/v1/models", True), (b"/openapi.json", True)]
)
def test_a_client_of_http_1_0_is_answered_and_its_connection_closed(
    api: Api, path: bytes, length: bool
) -> None:
    with connect(api) as connection:
        connection.sendall(b"GET " + path + b" HTTP/1.0\r\n\r\n")
        response = answer(connection)
        assert (response.status, response.headers["Connection"]) == (200, "close")
        assert ("Content-Length" in response.headers) == length
        assert "Transfer-Encoding" not in response.headers
        assert connection.recv(1) == b""


def test_a_stream_of_events_over_http_1_0_is_what_there_is_now(api: Api) -> None:
    url = f"http://{HOST}:{api.ports[0]}"
    location = httpx.post(f"{url}/v1/predictions", content=photograph()).headers["Location"]
    with connect(api) as connection:
        connection.sendall(b"GET " + location.encode() + b"/events HTTP/1.0\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert "Transfer-Encoding" not in response.headers
        assert response.read().startswith(b"id: 0\nevent: status\n")


def test_head_is_answered_as_get_but_for_the_body(api: Api) -> None:
    with httpx.Client(base_url=f"http://{HOST}:{api.ports[0]}") as client:
        location = client.post("/v1/predictions", content=photograph()).headers["Location"]
        for path in ("/healthz", "/v1/models", "/openapi.json", "/", location):
            asked, got = client.head(path), client.get(path)
            assert (asked.status_code, asked.content) == (200, b""), path
            assert asked.headers.get("Content-Length") == got.headers.get("Content-Length"), path
        stream = client.head(f"{location}/events")
        assert stream.headers["Content-Type"].startswith("text/event-stream")


def test_options_say_what_may_be_done(api: Api) -> None:
    with httpx.Client(base_url=f"http://{HOST}:{api.ports[0]}") as client:
        location = client.post("/v1/predictions", content=photograph()).headers["Location"]
        for path, methods in (
            ("/v1/predictions", {"POST", "OPTIONS"}),
            (location, {"GET", "HEAD", "DELETE", "OPTIONS"}),
            (f"{location}/events", {"GET", "HEAD", "OPTIONS"}),
        ):
            response = client.options(path)
            assert response.status_code == 200
            assert set(response.headers["Allow"].split(", ")) == methods


def test_another_protocol_is_not_switched_to_and_the_request_answered(api: Api) -> None:
    image = photograph()
    with connect(api) as connection:
        connection.sendall(
            PICTURE + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: %d\r\n\r\n%b"
            % (len(image), image)
        )
        assert answer(connection).status == 202
        connection.sendall(GET[:-2] + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert answer(connection).status == 200
        connection.sendall(
            PICTURE + b"Connection: upgrade\r\nUpgrade: websocket\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunks(image, 9)
        )
        assert answer(connection).status == 202
        connection.sendall(GET)
        assert answer(connection).status == 200


def test_what_is_expected_or_coded_otherwise_is_refused_by_name(api: Api) -> None:
    url = f"http://{HOST}:{api.ports[0]}/v1/predictions"
    expects = httpx.post(url, content=photograph(), headers={"Expect": "a miracle"})
    assert (expects.status_code, expects.json()["code"]) == (417, "expectation_failed")
    coded = httpx.post(url, content=photograph(), headers={"Content-Encoding": "gzip"})
    assert (coded.status_code, coded.json()["code"]) == (415, "unsupported_media")
    assert "'gzip'" in coded.json()["detail"]


def test_a_target_that_names_its_host_itself_is_found(api: Api) -> None:
    with connect(api) as connection:
        connection.sendall(b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer(connection).status == 200


# -- waiting ----------------------------------------------------------------------------------


def test_waits_and_streams_leave_threads_for_others(api: Api) -> None:
    url = f"http://{HOST}:{api.ports[0]}"
    job = httpx.post(f"{url}/v1/predictions", content=photograph()).headers["Location"].encode()
    batch = b'{"open": true}'
    kinds = (
        b"GET " + job + b"?wait=50 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET " + job + b"/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/batches HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Prefer: wait=50\r\nContent-Length: %d\r\n\r\n%b" % (len(batch), batch),
    )
    with ExitStack() as stack:
        for number in range(300):  # with two threads
            connection = stack.enter_context(connect(api))
            connection.sendall(kinds[number % len(kinds)])
        for path in ("/healthz", "/v1/models", "/v1/jobs", "/") * 3:
            assert httpx.get(f"{url}{path}", timeout=20).status_code == 200


def test_what_a_thread_began_is_done_though_the_client_goes(api: Api) -> None:
    url = f"http://{HOST}:{api.ports[0]}"
    one = b'--b\r\nContent-Disposition: form-data; name="images"; filename="%d.png"\r\n\r\n%b\r\n'
    form = b"".join(one % (number, photograph()) for number in range(12_000)) + b"--b--\r\n"
    with connect(api) as connection:
        connection.sendall(
            b"POST /v1/batches HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n%b"
            % (len(form), form)
        )
        wait_until(lambda: _newest_batch(url) is not None, within_s=20, what="it has begun")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(
        lambda: (batch := _newest_batch(url)) is not None and batch["progress"]["sealed"],
        within_s=30,
        what="all of it is there",
    )
    found = _newest_batch(url)
    assert found is not None
    assert (found["status"], found["progress"]["total"]) == ("queued", 12_000)


def _newest_batch(url: str) -> dict[str, Any] | None:
    jobs = httpx.get(f"{url}/v1/jobs", params={"kind": "batch"}, timeout=20).json()["jobs"]
    # Of those of this file, only the one that is uploaded has images.
    return next((job for job in jobs if job["progress"]["total"]), None)


def test_a_client_that_goes_frees_its_place(tmp_path: Path) -> None:
    small = Api(tmp_path / "data", PERMAFROST_MAX_WAITING="1")
    url = f"http://{HOST}:{small.ports[0]}"
    try:
        job = httpx.post(f"{url}/v1/predictions", content=photograph()).headers["Location"]

        def is_full() -> bool:
            return httpx.head(f"{url}{job}/events").status_code == 503

        for query in ("?wait=50", "/events"):
            assert not is_full()
            with connect(small) as connection:
                request = f"GET {job}{query} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                connection.sendall(request.encode())
                wait_until(is_full, within_s=10, what="it has the only place")
            wait_until(lambda: not is_full(), within_s=10, what="it has left it")
    finally:
        small.remove()


# -- one store --------------------------------------------------------------------------------


def test_a_repeated_request_finds_its_job_over_processes_and_restarts(api: Api) -> None:
    def submit(port: int, key: str) -> httpx.Response:
        url = f"http://{HOST}:{port}/v1/predictions"
        return httpx.post(url, content=photograph(), headers={"Idempotency-Key": key}, timeout=10)

    first = submit(api.ports[0], "k")
    assert first.status_code == 202
    location = first.headers["Location"]
    assert submit(api.ports[1], "k").headers["Location"] == location
    api.stop(api.ports[0])
    api.start(api.ports[0])
    assert submit(api.ports[0], "k").headers["Location"] == location
    assert submit(api.ports[0], "another").headers["Location"] != location


def test_a_store_that_falls_silent_ends_waits_and_streams_within_5_seconds(api: Api) -> None:
    url = f"http://{HOST}:{api.ports[1]}"
    location = httpx.post(f"{url}/v1/predictions", content=photograph()).headers["Location"]
    with (
        httpx.Client(base_url=url, timeout=30) as client,
        client.stream("GET", f"{location}/events") as stream,
    ):
        events = stream.iter_lines()
        assert next(events).startswith("id:")
        api.redis.process.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        try:
            for _ in events:
                pass
        except httpx.RemoteProtocolError:
            pass
        assert time.monotonic() - started < 5
    began = time.monotonic()
    answer_ = httpx.get(f"{url}{location}?wait=20", timeout=30)
    assert (answer_.status_code, answer_.json()["code"]) == (503, "store_unavailable")
    assert time.monotonic() - began < 5
    api.redis.process.send_signal(signal.SIGCONT)
    assert httpx.get(f"{url}{location}", timeout=10).status_code == 200
