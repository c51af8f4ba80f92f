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
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Flask
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from api.bad_http import TOO_SLOW, raw_answer, refusal
from api.begun import going_on
from api.express import Express

_ARRIVE_S = 60.0  # for the head of a request and the beginning of its body
_MOST_HEAD = 64 * 1024  # bytes; gunicorn refuses what is larger than its own limits
_BEGUN = 256 * 1024  # bytes of a body after which a thread reads the rest
_READ = 64 * 1024  # bytes at a time
_READ_AWAY = 32 * 1024  # bytes of a body that gunicorn surely reads away, to keep the connection
_ANSWER_S = 1.0  # for a client to take the few bytes of an error
_SLOWEST = 4096  # bytes per second, in the long run, of the rest of a body

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"


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


def closing(application: Callable[..., Any]) -> Callable[..., Any]:
    """Have responses say `Connection: close` where most of the request's body was not read.

    gunicorn says `keep-alive`, and closes the connection for the rest that it would have to read:
    the client's next request on it is lost.
    """

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        def start(*arguments: Any) -> Any:
            response = start_response.__self__
            body = response.req.body
            if body.failed or _is_unread(body.reader):
                response.force_close()
            return start_response(*arguments)

        return application(environ, start)

    return call


def _is_unread(reader: Any) -> bool:
    if isinstance(reader, LengthReader):
        return bool(reader.length > _READ_AWAY)
    return isinstance(reader, ChunkedReader) and reader.parser is not None


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's worker with threads, which waits for requests without holding one."""

    express: Express | None = None
    wsgi: Callable[..., Any]

    def load_wsgi(self) -> None:
        """Load the application, and with it the short way of predictions where it has one."""
        super().load_wsgi()
        # Not where something lies between it and its clients, or has to be told of each request.
        application = self.wsgi
        if (
            isinstance(application, Flask)
            and "wsgi_app" not in vars(application)
            and not self.cfg.is_ssl
            and not self.log.access_log_enabled
        ):
            self.express = Express.of(application, self)
        if self.cfg.http2_cleartext == "off" and not self.cfg.is_ssl:
            self.wsgi = closing(self.wsgi)

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
        conn = TConn(self.cfg, accepted, client, listener.getsockname())
        conn.begun = None
        conn.held = conn.idle = False  # by the short way; and between two of its requests
        self._await(conn)

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
        if not received:
            return super().handle(conn)
        conn.received = bytearray()
        conn.data_ready = True
        conn.init()
        if not isinstance(conn.parser.unreader, _Paced):
            conn.parser.unreader = _Paced(conn.sock)
        conn.parser.unreader.unread(bytes(received))
        begun, conn.begun = conn.begun, None
        with going_on(begun):
            return super().handle(conn)

    def handle_error(self, _req: Any, client: socket.socket, addr: Any, exc: Any) -> None:
        """Answer a request that cannot be read, as all other errors are answered."""
        refused = refusal(exc)
        if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.exception("Error handling request")
        else:
            self.log.info("Refused what is not HTTP from %s: %s", addr, exc)
        with suppress(OSError):
            client.settimeout(_ANSWER_S)
            client.sendall(raw_answer(refused))

    def murder_pending(self) -> None:
        """Give up what takes too long to arrive."""
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            conn = self.pending_conns[0]
            if getattr(conn, "received", None):  # one that sent nothing is only closed
                self._try(partial(conn.sock.send, raw_answer(TOO_SLOW)))
            self.pending_conns.remove(conn)
            self._drop(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Take one turn of the loop."""
        if self.express is None:
            super().wait_for_and_dispatch_events(timeout)
            return
        super().wait_for_and_dispatch_events(self.express.due_s(timeout))
        self.express.turn()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop."""
        super().handle_exit(sig, frame)
        if self.express is not None:
            # The rest of the time is for saying where to look for what has not ended.
            self.method_queue.defer(self.express.leave, self.cfg.graceful_timeout / 2)

    # -- what the short way asks of the loop ------------------------------------------------------

    def defer(self, do: Callable[[], object]) -> None:
        """Run something in the loop; any thread may call this."""
        self.method_queue.defer(do)

    def in_thread(self, do: Callable[[], object]) -> None:
        """Run something in a thread."""
        self.tpool.submit(do)

    def go_the_long_way(self, conn: TConn) -> None:
        """Handle a request that the short way held in a thread, through the application."""
        conn.held = False
        self.poller.unregister(conn.sock)
        self.enqueue_req(conn)

    def answer(self, conn: TConn, response: bytes) -> None:
        """Send a response to a request that the short way held; wait for the client's next one."""
        conn.held = False
        self.nr += 1
        try:
            whole = conn.sock.send(response) == len(response)
        except OSError:
            whole = False
        if not whole:  # a client that takes not even that much has gone or means harm
            self._drop(conn)
            return
        conn.received = bytearray()
        conn.idle = True
        conn.set_timeout()
        self.keepalived_conns.append(conn)

    # -- how connections come to the loop and leave it --------------------------------------------

    def _await(self, conn: TConn) -> None:
        conn.received = bytearray()
        conn.sock.setblocking(False)
        self._expect(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))

    def _expect(self, conn: TConn) -> None:
        conn.timeout = time.monotonic() + _ARRIVE_S
        self.pending_conns.append(conn)

    def _read(self, conn: TConn, client: socket.socket) -> None:
        try:
            content = client.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if conn.idle:
            conn.idle = False
            self.keepalived_conns.remove(conn)
            self._expect(conn)
        conn.received += content
        if conn.held and self.express is not None:
            if content:  # gunicorn can read requests that are sent one behind the other
                self.express.give_up(conn)
            else:
                self.express.forget(conn)
                self._drop(conn)
        elif not content:  # the client has gone
            self.pending_conns.remove(conn)
            self._drop(conn)
        elif has_arrived(conn.received):
            self.pending_conns.remove(conn)
            conn.held = self.express is not None and self.express.take(conn)
            if not conn.held:
                self.poller.unregister(client)
                self.enqueue_req(conn)

    def _drop(self, conn: TConn) -> None:
        self._try(partial(self.poller.unregister, conn.sock))
        self.nr_conns -= 1
        conn.close()

    @staticmethod
    def _try(do: Callable[[], object]) -> None:
        try:
            do()
        except (OSError, KeyError, ValueError):
            return
