"""The API's connections: a request gets a thread once it has arrived.

gunicorn's threads read requests themselves, so a client that sends a byte a second holds one of
them for as long as it likes, and a few dozen such clients hold them all. Here the loop that waits
for connections reads them, which costs a client no thread, until the request is there whole or,
where it is large, well begun. What takes too long to arrive is answered with 408, and the rest of a
large body must come at a certain pace.

    gunicorn --worker-class api.patience.PatientWorker 'api:create_app()'
"""

import re
import selectors
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

_ARRIVE_S = 60.0  # for the head of a request and the beginning of its body
_MOST_HEAD = 64 * 1024  # bytes; gunicorn refuses what is larger than its own limits
_BEGUN = 256 * 1024  # bytes of a body after which a thread reads the rest
_READ = 64 * 1024  # bytes at a time
_SLOWEST = 4096  # bytes per second, in the long run, of the rest of a body

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def has_arrived(received: bytes | bytearray) -> bool:
    """Whether what was received of a request is enough for a thread to begin with it."""
    end = received.find(_END_OF_HEAD)
    if end < 0:
        return len(received) > _MOST_HEAD
    head, body = bytes(received[: end + 2]), len(received) - end - len(_END_OF_HEAD)
    if _EXPECT.search(head):  # the body is sent once the head was answered
        return True
    if _CHUNKED.search(head):
        return body >= _BEGUN or received.endswith(_LAST_CHUNK)
    length = _LENGTH.search(head)
    return length is None or body >= min(int(length[1]), _BEGUN)


class _Paced(SocketUnreader):  # type: ignore[misc]  # gunicorn has no types
    """Reads the rest of requests, for as long as it comes fast enough."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._waited_s = 0.0
        self._received = 0  # bytes

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes; raise `TimeoutError` where they are too long in coming."""
        left = _ARRIVE_S + self._received / _SLOWEST - self._waited_s
        if left <= 0:
            raise TimeoutError("The client sends its request too slowly.")
        before = self.sock.gettimeout()
        self.sock.settimeout(left if before is None else min(left, before))
        began = time.monotonic()
        try:
            content: bytes = super().chunk(size_hint)
        finally:
            self.sock.settimeout(before)
        self._waited_s += time.monotonic() - began
        self._received += len(content)
        return content


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's worker with threads, which waits for requests without holding one."""

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection and wait for its first request."""
        # A handshake needs a thread, and so does telling HTTP/2 from HTTP/1.
        if self.cfg.is_ssl or self.cfg.http2_cleartext != "off":
            super().accept(listener)
            return
        try:
            accepted, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        self._await(TConn(self.cfg, accepted, client, listener.getsockname()))

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Wait for another request on a connection."""
        if not hasattr(conn, "received"):
            super().on_client_socket_readable(conn, client)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await(conn)

    def handle(self, conn: TConn) -> Any:
        """Handle the request that has arrived; runs in a thread."""
        received = getattr(conn, "received", None)
        if received:
            conn.received = bytearray()
            conn.data_ready = True
            conn.init()
            if not isinstance(conn.parser.unreader, _Paced):
                conn.parser.unreader = _Paced(conn.sock)
            conn.parser.unreader.unread(bytes(received))
        return super().handle(conn)

    def murder_pending(self) -> None:
        """Give up what takes too long to arrive."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            conn = self.pending_conns[0]
            if getattr(conn, "received", None):  # one that sent nothing is only closed
                self._try(partial(conn.sock.send, _TOO_SLOW))
            self._drop(conn)

    def _await(self, conn: TConn) -> None:
        conn.received = bytearray()
        conn.timeout = time.monotonic() + _ARRIVE_S
        conn.sock.setblocking(False)
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))

    def _read(self, conn: TConn, client: socket.socket) -> None:
        try:
            content = client.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if not content:  # the client has gone
            self._drop(conn)
            return
        conn.received += content
        if has_arrived(conn.received):
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self.enqueue_req(conn)

    def _drop(self, conn: TConn) -> None:
        self.pending_conns.remove(conn)
        self._try(partial(self.poller.unregister, conn.sock))
        self.nr_conns -= 1
        conn.close()

    @staticmethod
    def _try(do: Callable[[], object]) -> None:
        try:
            do()
        except (OSError, KeyError, ValueError):
            return
