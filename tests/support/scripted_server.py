"""A real HTTP server that answers as a test says, byte for byte, and may hang up instead."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Answer = bytes | tuple[bytes, float]  # bytes, perhaps with the seconds before they are sent


@dataclass
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """What to answer, one entry a request, the last one for ever; and what was asked.

    An empty answer hangs up; so does each answer, once it is sent.
    """

    answers: list[Answer]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    def answer(self, connection: socket.socket) -> None:
        """Read one request whole, note it, and answer or hang up."""
        with connection, connection.makefile("rb") as stream:
            first = stream.readline().decode().split()
            if len(first) < 2:
                return
            headers = dict(_headers(iter(stream.readline, b"\r\n")))
            body = stream.read(int(headers.get("content-length", 0)))
            self.asked.append(Asked(first[0], first[1], headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            content, after_s = answer if isinstance(answer, tuple) else (answer, 0.0)
            time.sleep(after_s)
            with suppress(OSError):  # the client has gone meanwhile
                connection.sendall(content)


def _headers(lines: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        yield name.strip().lower(), value.strip()


@contextmanager
def answering(*answers: Answer) -> Iterator[ScriptedServer]:
    """Run a server that gives these answers."""
    server = ScriptedServer([*answers])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # closed: the test has ended
                    return
                server.answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def http(
    status: str, body: bytes | object = b"", headers: Sequence[str] = (), **lengths: Any
) -> bytes:
    """Return an answer; JSON unless its body is bytes. `length`: what it says of its length."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kinds = [] if isinstance(body, bytes) else ["Content-Type: application/json"]
    length = lengths.get("length", len(content))
    lines = [f"HTTP/1.1 {status}", *kinds, f"Content-Length: {length}", "Connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + content
