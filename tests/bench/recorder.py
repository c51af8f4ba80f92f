"""A server that keeps the requests of real clients, byte by byte, and answers each well."""

import io
import json
import re
import socketserver
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from worker.contract.image_jobs import PredictionJob

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_WAITS = re.compile(rb"\r\nprefer:[^\r]*wait=|[?&]wait=", re.IGNORECASE)
_ID = "01rec0rded0000000000000000"
_LOCATION = f"/v1/jobs/{_ID}"
_PAGE = b"<!doctype html><title>Photographs</title>"


class Recorder:
    """Listens at a port of its own until it is left.

    `GET /` is an empty page and `GET /photographs/N` a photograph, both for the browser. All other
    requests are kept. A submission that waits is answered with an ended job, one that does not with
    a queued one; reading that job shows that it has ended.
    """

    def __init__(self, photographs: Sequence[bytes] = ()) -> None:
        self._photographs = photographs
        self._lock = threading.Lock()
        self._kept: list[bytes] = []
        recorder = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while request := read_request(self.rfile, self.wfile):
                    self.wfile.write(recorder._answer(request))

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def taken(self) -> list[bytes]:
        """Return what was kept since the last call, in the order of arrival."""
        with self._lock:
            kept, self._kept = self._kept, []
        return kept

    def _answer(self, request: bytes) -> bytes:
        head = request.partition(b"\r\n\r\n")[0]
        method, path, *_ = head.split(b" ", 2)
        if method == b"GET" and path in (b"/", b"/favicon.ico"):
            return _response(b"200 OK", b"text/html", _PAGE)
        if method == b"GET" and path.startswith(b"/photographs/"):
            photograph = self._photographs[int(path.rpartition(b"/")[2])]
            return _response(b"200 OK", b"image/jpeg", photograph)
        with self._lock:
            self._kept.append(request)
        if path.startswith(b"/v2/"):  # Triton's protocol
            return _response(b"200 OK", b"application/json", b'{"outputs": []}')
        if method == b"POST" and not _WAITS.search(head):
            return _response(b"202 Accepted", b"application/json", _job("queued"))
        return _response(b"200 OK", b"application/json", _job("succeeded"))


def read_request(source: io.BufferedIOBase, answers: io.BufferedIOBase) -> bytes:
    """Return the next request as it came; empty where the connection ended."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = source.readline()
        if not line:
            return b""
        head += line
    if b"\r\nexpect: 100-continue" in head.lower():
        answers.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if _CHUNKED.search(head):
        return head + _chunks(source)
    length = _LENGTH.search(head)
    return head + (source.read(int(length[1])) if length else b"")


def _chunks(source: io.BufferedIOBase) -> bytes:
    read = b""
    while True:
        line = source.readline()
        size = int(line.partition(b";")[0], 16)
        read += line + source.read(size + 2)
        if size == 0:
            return read


def _job(status: str) -> bytes:
    ended, now = status == "succeeded", "2026-01-01T00:00:00.000Z"
    job = {
        "id": _ID,
        "kind": "prediction",
        "status": status,
        "model": {"name": "bench", "version": 1, "sha256": "0" * 64},
        "created_at": now,
        "started_at": now if ended else None,
        "finished_at": now if ended else None,
        "expires_at": now if ended else None,
        "progress": {"total": 1, "succeeded": int(ended), "failed": 0},
        "result": {"predictions": [{"label": "cat", "score": 1.0}]} if ended else None,
        "error": None,
        "attempts": int(ended),
        "links": {"self": _LOCATION, "results": None, "events": f"{_LOCATION}/events"},
    }
    PredictionJob.model_validate_json(json.dumps(job))  # our own client reads it so
    return json.dumps(job).encode()


def _response(status: bytes, kind: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n" % (status, kind, len(body))
    location = f"Location: {_LOCATION}\r\n".encode()
    return head + (location if status.startswith(b"202") else b"") + b"\r\n" + body
