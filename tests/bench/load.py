"""The load client, one for all systems: N connections that send as soon as they are answered.

    python -m tests.bench.load < ORDER.json

It is a process of its own with one thread and raw sockets, so that it takes little of the
processors that it shares with what it measures; what it takes is reported. Only complete, right
answers within the time count. Nothing is left under way at the end. A client whose answer is a job
that goes on reads that job, at once or again and again, until it has ended.
"""

import heapq
import json
import resource
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.http_answers import Answer, AnswerReader, NotHttpError
from tests.bench.replayed import replayed, with_new_key
from tests.bench.uploads import Upload, many_each, one_each

_PIECE = 256 * 1024  # bytes read at once
_MOST_ERRORS = 100  # after which a client that meets one gives up
_PATIENCE_S = 90.0  # for what is under way at the end; longer than any system lets a client wait


@dataclass
class Outcome:
    """What one round of load came to."""

    seconds: float = 0.0
    images: int = 0  # answered rightly within the time
    latencies_ms: list[float] = field(default_factory=list)  # of the requests that they came with
    errors: dict[str, int] = field(default_factory=dict)  # by what was wrong
    cpu_s: float = 0.0  # processor time of the client itself

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency in ms that this share of the requests did not exceed."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class _Connection:
    """One client: a connection and the request that is under way on it."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self._port, self._selector = port, selector
        self._socket: socket.socket | None = None
        self._unsent = memoryview(b"")
        self.reader = AnswerReader()
        self.upload: Upload | None = None
        self.sent_at = 0.0  # of the upload
        self.asks = False  # whether an answer is awaited
        self.location = b""  # of its job, where it reads one

    def send(self, upload: Upload) -> None:
        """Send an upload, or what of it goes out at once."""
        self.upload, self.sent_at, self.location = upload, time.perf_counter(), b""
        key = upload.key
        request = with_new_key(upload.request, key) if key else upload.request
        self._ask(request, upload.head)

    def read(self) -> None:
        """Ask how the job is."""
        assert self.upload is not None
        assert self.upload.reading is not None
        self._ask(self.upload.reading.of(self.location))

    def _ask(self, request: bytes, head: int = 0) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
            self._selector.register(self._socket, selectors.EVENT_READ, self)
        self.reader, self.asks = AnswerReader(), True
        self._unsent = memoryview(request)
        if head:
            self._unsent = self._unsent[self._socket.send(self._unsent[:head]) :]
        self.flush()

    def flush(self) -> None:
        """Send more of the request."""
        assert self._socket is not None
        with suppress(BlockingIOError):
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        if self._selector.get_key(self._socket).events != wanted:
            self._selector.modify(self._socket, wanted, self)

    def receive(self) -> bytes | None:
        """Return what came; empty where the server closed the connection, None if nothing did."""
        assert self._socket is not None
        try:
            return self._socket.recv(_PIECE)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """End the connection; the next request makes a new one."""
        self.asks = False
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None


class Load:
    """A closed loop of `connections` clients against one port."""

    def __init__(self, port: int, uploads: Sequence[Upload], connections: int) -> None:
        self._uploads = uploads
        self._turn = 0
        self._selector = selectors.DefaultSelector()
        self._clients = [_Connection(port, self._selector) for _ in range(connections)]
        self._errors: Counter[str] = Counter()
        self._due: list[tuple[float, int]] = []  # when which client reads its job again

    def run(self, seconds: float) -> Outcome:
        """Send for so long and return what came of it."""
        outcome = Outcome()
        began = time.perf_counter()
        self._end = began + seconds
        for client in self._clients:
            self._next(client)
        while any(client.upload for client in self._clients):
            if time.perf_counter() > self._end + _PATIENCE_S:
                self._errors["not answered"] += sum(1 for one in self._clients if one.upload)
                break
            for key, events in self._selector.select(self._until_due()):
                self._serve(key.data, events, outcome)
            while self._due and self._due[0][0] <= time.perf_counter():
                self._read(self._clients[heapq.heappop(self._due)[1]])
        for client in self._clients:
            client.close()
        outcome.seconds, outcome.errors = seconds, dict(self._errors)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        outcome.cpu_s = usage.ru_utime + usage.ru_stime
        return outcome

    def _until_due(self) -> float:
        if not self._due:
            return 1.0
        return max(0.0, self._due[0][0] - time.perf_counter())

    def _next(self, client: _Connection) -> None:
        client.upload = None
        if time.perf_counter() >= self._end:
            return
        upload = self._uploads[self._turn % len(self._uploads)]
        self._turn += 1
        try:
            client.send(upload)
        except OSError as error:
            self._failed(client, type(error).__name__)

    def _read(self, client: _Connection) -> None:
        try:
            client.read()
        except OSError as error:
            self._failed(client, type(error).__name__)

    def _failed(self, client: _Connection, reason: str) -> None:
        """Count what went wrong and go on with the next upload, unless nobody is there at all."""
        self._errors[reason] += 1
        client.close()
        client.upload = None
        if self._errors.total() < _MOST_ERRORS:
            self._next(client)

    def _serve(self, client: _Connection, events: int, outcome: Outcome) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                client.flush()
            if not events & selectors.EVENT_READ:
                return
            piece = client.receive()
            if piece is None:
                return
            if not piece and not client.asks:  # the time is up, or it rests between two readings
                client.close()
                return
            if not piece:
                raise NotHttpError("closed before the answer")
            answer = client.reader.feed(piece)
        except (OSError, NotHttpError) as error:
            told = isinstance(error, NotHttpError)
            self._failed(client, str(error) if told else type(error).__name__)
            return
        if answer is not None:
            self._answered(client, answer, outcome)

    def _answered(self, client: _Connection, answer: Answer, outcome: Outcome) -> None:
        upload, now = client.upload, time.perf_counter()
        assert upload is not None
        client.asks = False
        if answer.closes:
            client.close()
        client.location = answer.location or client.location
        if client.location and upload.unfinished(answer.status, answer.body):
            assert upload.reading is not None
            if upload.reading.every_s is None:
                self._read(client)
            else:
                number = self._clients.index(client)
                heapq.heappush(self._due, (now + upload.reading.every_s, number))
            return
        wrong = upload.wrong(answer.status, answer.body)
        if wrong:
            self._errors[wrong] += 1
        elif now <= self._end:
            outcome.images += upload.images
            outcome.latencies_ms.append((now - client.sent_at) * 1000)
        self._next(client)


def run(order: dict[str, Any]) -> Outcome:
    """Carry out an order: `port`, `path`, `headers`, `form`, `photographs` (paths), `labels`,
    `connections`, `seconds`; for the form `batch`, `images` of one request; for `recorded`, what
    `replayed` takes, with requests in place of photographs.
    """
    labels = [frozenset(spellings(each)) for each in order["labels"]]
    if order["form"] == "recorded":
        uploads = replayed(
            [Path(path) for path in order["photographs"]],
            labels,
            recorded_at=order["recorded_at"],
            port=order["port"],
            path=order["path"] or None,
            reading=Path(order["reading"]) if order["reading"] else None,
            every_s=order["every_s"],
        )
        return Load(order["port"], uploads, order["connections"]).run(order["seconds"])
    photographs = [Path(path).read_bytes() for path in order["photographs"]]
    shared = {"path": order["path"], "headers": order["headers"]}
    if order["form"] == "batch":
        uploads = many_each(photographs, order["images"], **shared)
    else:
        uploads = one_each(photographs, labels, form=order["form"], **shared)
    return Load(order["port"], uploads, order["connections"]).run(order["seconds"])


def spellings(labels: Sequence[str]) -> Iterator[bytes]:
    """Yield labels as they may stand in JSON, without their quotes."""
    for label in labels:
        for ascii_only in (True, False):
            yield json.dumps(label, ensure_ascii=ascii_only)[1:-1].encode()


def main() -> None:
    """Read an order and write what came of it."""
    print(json.dumps(asdict(run(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
