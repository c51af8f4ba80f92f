"""Recording what a client sends, and sending it again."""

import http.client
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.recorder import Recorder
from tests.bench.replayed import replayed, with_new_key

HEAD = b"POST /v1/predictions?wait=30 HTTP/1.1\r\nHost: %s\r\nX-Odd:   as it is\r\n"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder([b"\xff\xd8\xff"]) as running:
        yield running


def answered(recorder: Recorder, *pieces: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", recorder.port), timeout=10) as client:
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(
    "request_",
    [
        HEAD % b"h" + b"Content-Length: 4\r\n\r\nbody",
        HEAD % b"h" + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nbod\r\n1\r\ny\r\n0\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
def test_a_request_is_kept_byte_by_byte(recorder: Recorder, request_: bytes) -> None:
    cut = len(request_) - 3
    answer = answered(recorder, request_[:cut], request_[cut:])
    assert recorder.taken() == [request_]
    assert recorder.taken() == []
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_a_submission_that_does_not_wait_is_told_where_its_job_is(recorder: Recorder) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", recorder.port, timeout=10)
    connection.request("POST", "/v1/predictions", body=b"x")
    submitted = connection.getresponse()
    assert (submitted.status, b'"queued"' in submitted.read()) == (202, True)
    connection.request("GET", submitted.headers["Location"])
    assert b'"succeeded"' in connection.getresponse().read()
    connection.request("GET", "/photographs/0")
    assert connection.getresponse().read() == b"\xff\xd8\xff"
    connection.close()
    assert [request.split(b" ")[0] for request in recorder.taken()] == [b"POST", b"GET"]


def test_a_recorded_request_goes_to_another_address_and_path(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(
        HEAD % b"127.0.0.1:5" + b"Origin: http://127.0.0.1:5\r\n\r\n127.0.0.1:5"
    )
    (ours,) = replayed([tmp_path / "0"], [frozenset()], recorded_at="127.0.0.1:5", port=80)
    assert ours.request == HEAD % b"127.0.0.1:80" + (
        b"Origin: http://127.0.0.1:80\r\n\r\n127.0.0.1:5"  # the body stays what it was
    )
    assert ours.request[: ours.head].endswith(b"\r\n\r\n")
    (theirs,) = replayed(
        [tmp_path / "0"], [frozenset()], recorded_at="127.0.0.1:5", port=80, path="/predict"
    )
    assert theirs.request.startswith(b"POST /predict?wait=30 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        (b"00000000-0000-4000-8000-000000000000", rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        (b"0" * 32, rb"[0-9a-f]{32}"),
    ],
)
def test_each_request_has_an_idempotency_key_of_its_own(
    tmp_path: Path, key: bytes, pattern: bytes
) -> None:
    (tmp_path / "0").write_bytes(HEAD % b"h" + b"Idempotency-Key: " + key + b"\r\n\r\nbody")
    (upload,) = replayed([tmp_path / "0"], [frozenset()], recorded_at="h", port=80)
    assert upload.key is not None
    sent = {with_new_key(upload.request, upload.key) for _ in range(3)}
    assert len(sent) == 3
    for request in sent:
        assert len(request) == len(upload.request)
        assert re.search(rb"\r\nIdempotency-Key: " + pattern + rb"\r\n\r\nbody$", request)


def test_the_request_that_reads_a_job_names_the_job_and_keeps_its_query(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(HEAD % b"h:5" + b"\r\n")
    (tmp_path / "reading").write_bytes(b"GET /v1/jobs/x?wait=30 HTTP/1.1\r\nHost: h:5\r\n\r\n")
    (upload,) = replayed(
        [tmp_path / "0"],
        [frozenset()],
        recorded_at="h:5",
        port=80,
        reading=tmp_path / "reading",
    )
    assert upload.reading is not None
    assert upload.reading.of(b"/jobs/1") == (
        b"GET /jobs/1?wait=30 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n"
    )
