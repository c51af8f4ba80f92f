"""The load client against a server whose answers are chosen; nothing here depends on time."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.bench.load import Load, Outcome, spellings
from tests.bench.uploads import Reading, Upload, one_each

RIGHT = b'{"predictions":[{"label":"cat","score":1.0}]}'
WRONG = b'{"predictions":[{"label":"dog","score":1.0}]}'
SHORT_S = 0.2


def answer(body: bytes, status: bytes = b"200 OK", extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, extra, len(body), body)


@contextmanager
def server(chosen: Callable[[int], bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Answer the n-th request with what is chosen for it, and close where that is cut off."""
    received: list[bytes] = []
    lock = threading.Lock()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                length = 0
                while (head := self.rfile.readline()) not in (b"\r\n", b""):
                    if head.lower().startswith(b"content-length:"):
                        length = int(head.split(b":")[1])
                body = self.rfile.read(length)
                with lock:
                    number = len(received)
                    received.append(line + body)
                reply = chosen(number)
                self.wfile.write(reply)
                if not reply.endswith(b"}"):
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running.server_address[1], received
        finally:
            running.shutdown()
            thread.join()


def load(port: int, connections: int = 4, photograph: bytes = b"\xff\xd8\xff") -> Outcome:
    uploads = one_each([photograph], [frozenset([b"cat"])], path="/predict")
    return Load(port, uploads, connections).run(SHORT_S)


def test_right_answers_count_and_nothing_is_left_under_way() -> None:
    with server(lambda _: answer(RIGHT)) as (port, received):
        outcome = load(port)
    assert outcome.errors == {}
    assert outcome.images == len(outcome.latencies_ms) > 0
    # What was sent within the time and answered after it does not count.
    assert 0 <= len(received) - outcome.images <= 4
    assert outcome.rate == outcome.images / SHORT_S


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (answer(WRONG), "wrong label dog"),
        (answer(b"{}"), "no predictions"),
        (answer(RIGHT, b"503 Busy"), "status 503"),
        (answer(RIGHT)[:-5], "closed before the answer"),
        (b"", "closed before the answer"),
    ],
    ids=["label", "empty", "status", "cut off", "closed"],
)
def test_wrong_answers_are_told_and_do_not_count(wrong: bytes, reason: str) -> None:
    def chosen(number: int) -> bytes:
        return answer(RIGHT, extra=b"Connection: close\r\n") if number % 2 else wrong

    with server(chosen) as (port, received):
        outcome = load(port, connections=1)
    assert set(outcome.errors) == {reason}
    assert outcome.images > 0
    assert outcome.images + sum(outcome.errors.values()) <= len(received)


def test_a_server_that_closes_after_each_answer_gets_a_new_connection() -> None:
    with server(lambda _: answer(RIGHT, extra=b"Connection: close\r\n")) as (port, _):
        outcome = load(port)
    assert outcome.errors == {}
    assert outcome.images > 4


def test_what_does_not_go_out_at_once_is_sent_when_there_is_room() -> None:
    photograph = b"\xff\xd8\xff" + bytes(8 * 2**20)  # more than a socket's buffer
    with server(lambda _: answer(RIGHT)) as (port, received):
        uploads = one_each([photograph], [frozenset()], path="/predict")
        outcome = Load(port, uploads, 2).run(2 * SHORT_S)
    assert outcome.errors == {}
    assert received
    assert all(photograph in request for request in received)


def job(status: bytes, more: bytes = b"") -> bytes:
    return b'{"id":"j","status":"%s"%s}' % (status, more)


@pytest.mark.parametrize("every_s", [None, 0.01], ids=["one reading", "many readings"])
@pytest.mark.parametrize("closes", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
def test_a_job_is_read_until_it_has_ended(every_s: float | None, closes: bytes) -> None:
    def chosen(number: int) -> bytes:
        match number % 4:
            case 0:
                return answer(job(b"queued"), b"202 Accepted", b"Location: /jobs/j\r\n" + closes)
            case 1 | 2:
                return answer(job(b"running"), extra=closes)
            case _:
                return answer(job(b"succeeded", b',"result":' + RIGHT), extra=closes)

    reading = Reading(b"GET /v1/jobs/recorded HTTP/1.1\r\nHost: h\r\n\r\n", every_s)
    request = b"POST /p HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    upload = Upload(request, 1, frozenset([b"cat"]), reading)
    with server(chosen) as (port, received):
        outcome = Load(port, [upload], 1).run(SHORT_S)
    assert outcome.errors == {}
    assert outcome.images == len(outcome.latencies_ms) > 0
    assert len(received) % 4 == 0  # nothing is left under way
    assert [line.split(b" ")[:2] for line in received[:4]] == [
        [b"POST", b"/p"],
        *[[b"GET", b"/jobs/j"]] * 3,
    ]
    if every_s is not None:
        assert min(outcome.latencies_ms) >= 3 * every_s * 1000


def test_a_failed_job_does_not_count() -> None:
    def chosen(number: int) -> bytes:
        if number % 2:
            return answer(job(b"failed"))
        return answer(job(b"queued"), b"202 Accepted", b"Location: /jobs/j\r\n")

    reading = Reading(b"GET /x HTTP/1.1\r\n\r\n", None)
    upload = Upload(b"POST /p HTTP/1.1\r\n\r\n", 1, frozenset(), reading)
    with server(chosen) as (port, _):
        outcome = Load(port, [upload], 1).run(SHORT_S)
    assert outcome.images == 0
    assert set(outcome.errors) == {"no predictions"}


def test_nobody_there_is_an_error_and_ends() -> None:
    with server(lambda _: b"") as (port, _):
        pass
    outcome = Load(port, [Upload(b"x", 1, frozenset())], 2).run(SHORT_S)
    assert outcome.images == 0
    assert set(outcome.errors) == {"ConnectionRefusedError"}


def test_percentiles_are_those_of_the_requests() -> None:
    outcome = Outcome(seconds=1, latencies_ms=[float(n) for n in range(100, 0, -1)])
    assert [outcome.percentile(share) for share in (0, 0.5, 0.99, 1)] == [1, 51, 100, 100]
    assert Outcome(seconds=1).percentile(0.5) == 0


def test_labels_are_found_however_json_spells_them() -> None:
    assert set(spellings(["chat \u00e9"])) == {b"chat \\u00e9", "chat \u00e9".encode()}
