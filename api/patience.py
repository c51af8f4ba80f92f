"""The API's connections: a request gets a thread once it is there, and none for its answer's way.

gunicorn's threads read requests and write answers themselves, so a client that sends or takes a
byte a second holds one of them for as long as it likes, and a few dozen such clients hold them all.
Here the loop that waits for connections reads the requests whole (`api.incoming`), which costs a
client no thread, and sends what clients do not take at once (`api.outgoing`). Who is slower than a
certain pace is refused with 408 or dropped. Large bodies are asked about before they are read: what
would be refused is refused at once (`api.preflight`).

    gunicorn --worker-class api.patience.PatientWorker 'api:create_app()'
"""

import errno
import resource
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Flask
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from api.bad_http import (
    CRUMBS,
    DISK_FULL,
    FULL,
    HEADERS_TOO_LARGE,
    TOO_LARGE,
    TOO_SLOW,
    Refusal,
    raw_answer,
    refusal,
)
from api.begun import going_on
from api.connection import Connection, closing
from api.express import Express
from api.incoming import Incoming
from api.outgoing import Outgoing, Room
from api.preflight import Preflight

_READ = 64 * 1024  # bytes at a time
_LINGER_S = 2.0  # that a client has to close a connection after its last answer, or to send more
_LONGEST_LINGER_S = 15.0
_SWEEP_S = 0.5  # between two looks for slow clients
_HEALTH = (b"GET /healthz ", b"HEAD /healthz ")
_FULL_S = 0.05  # while no descriptor is free
_ROOM = 8 * 1024**3  # bytes of files that hold bodies and answers, where no settings are at hand


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's worker with threads, which neither waits for requests nor for answers in one."""

    express: Express | None = None
    preflight: Preflight | None = None
    wsgi: Callable[..., Any]

    def load_wsgi(self) -> None:
        """Load the application, and with it the short way of predictions where it has one."""
        super().load_wsgi()
        self._reading: dict[Connection, None] = {}  # oldest first
        self._writing: set[Connection] = set()
        self._lingering: dict[Connection, None] = {}
        self._swept = 0.0
        self._health = ThreadPoolExecutor(1, "health")
        self._room = Room(_ROOM)
        application = self.wsgi
        if isinstance(application, Flask) and not self._is_plain():
            return
        if isinstance(application, Flask):
            self._room = Room(application.extensions["kernel"].settings.spool_bytes)
            self.preflight = Preflight(application, self.cfg)
            # Not where something lies between it and its clients, or has to be told of each.
            if "wsgi_app" not in vars(application) and not self.log.access_log_enabled:
                self.express = Express.of(application, self)
        if not self._is_plain():
            return
        self.wsgi = closing(self.wsgi)
        with suppress(ValueError, OSError):  # each connection is a descriptor, and may need files
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            wanted = 4 * self.worker_connections + 512
            if soft != resource.RLIM_INFINITY and soft < wanted:
                most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

    def _is_plain(self) -> bool:
        # A handshake needs a thread, and so does telling HTTP/2 from HTTP/1.
        return not self.cfg.is_ssl and self.cfg.http2_cleartext == "off"

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection and wait for its first request."""
        if not self._is_plain():
            super().accept(listener)
            return
        try:
            accepted, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            if not self._make_place():
                time.sleep(_FULL_S)
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, Outgoing(accepted, self._room), client, listener.getsockname())
        conn.sock.wake = partial(self.defer, partial(self._watch, conn))
        self._await(conn)
        if self.nr_conns >= self.worker_connections:
            self._make_place()

    def handle(self, conn: TConn) -> Any:
        """Handle the request that has arrived; runs in a thread."""
        if not isinstance(conn, Connection):
            return super().handle(conn)
        conn.data_ready = True
        conn.init()
        conn.parser.unreader = conn.incoming.unreader(conn.sock)
        conn.sock.answered = False
        begun, conn.begun = conn.begun, None
        with going_on(begun):
            kept = super().handle(conn)
            # What gunicorn did not take for this request's would be taken for the next one's.
            return kept and conn.parser.unreader.is_used_up()

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Handle a request that was read."""
        req._expected_100_continue = False
        return super().handle_request(req, conn)

    def handle_error(self, _req: Any, client: Any, addr: Any, exc: Any) -> None:
        """Answer a request that cannot be read, as all other errors are answered."""
        refused = refusal(exc)
        if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.exception("Error handling request")
        else:
            self.log.info("Refused what is not HTTP from %s: %s", addr, exc)
        if not getattr(client, "answered", False):
            with suppress(OSError):
                client.sendall(raw_answer(refused))

    def murder_pending(self) -> None:
        """Give up whoever sends or takes too slowly."""
        super().murder_pending()
        now = time.monotonic()
        if now < self._swept + _SWEEP_S:
            return
        self._swept = now
        for conn in [conn for conn in self._reading if conn.incoming.is_late(now)]:
            if conn.incoming.received:
                self._refuse(conn, TOO_SLOW)
            else:  # one that sent nothing is only closed
                self._drop(conn)
        for conn in [conn for conn in self._writing if conn.sock.is_late(now)]:
            self._drop(conn)
        for conn in [conn for conn in self._lingering if conn.until <= now]:
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

    def go_the_long_way(self, conn: Connection) -> None:
        """Handle a request that the short way held in a thread, through the application."""
        conn.held = False
        self.poller.unregister(conn.sock)
        self.enqueue_req(conn)

    def answer(self, conn: Connection, response: bytes) -> None:
        """Send a response to a request that the short way held; wait for the client's next one."""
        conn.held = False
        self.nr += 1
        try:
            conn.sock.sendall(response)
        except OSError:
            self._drop(conn)
            return
        if conn.sock.waits:
            self.poller.unregister(conn.sock)
            conn.ended = True
            return
        conn.incoming = Incoming()
        self._keep(conn)

    # -- requests ---------------------------------------------------------------------------------

    def _await(self, conn: Connection) -> None:
        self._reading[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))

    def _read(self, conn: Connection, _client: object) -> None:
        content = _received(conn)
        if content is None:
            return
        if not content:  # the client has gone
            if conn.held and self.express is not None:
                self.express.forget(conn)
            self._drop(conn)
            return
        if conn.idle:
            conn.idle = False
            self.keepalived_conns.remove(conn)
            self._reading[conn] = None
        if conn.held and self.express is not None:  # and now another one, to be answered after it
            conn.incoming.rest += content
            self.express.give_up(conn)
        else:
            self._take(conn, content)

    def _take(self, conn: Connection, content: bytes) -> None:
        incoming = conn.incoming
        if not incoming.received:
            incoming.begin()
        try:
            incoming.feed(content)
        except OSError as error:
            self.log.error("A request cannot be kept: %s", error)
            self._refuse(conn, DISK_FULL)
            return
        if incoming.head_too_large:
            self._refuse(conn, HEADERS_TOO_LARGE)
        elif incoming.is_in_crumbs:
            self._refuse(conn, CRUMBS)
        elif incoming.most and incoming.body > incoming.most:
            self._refuse(conn, TOO_LARGE)
        elif not self._has_room(incoming):
            self._refuse(conn, FULL)
        elif incoming.whole:
            self._reading.pop(conn, None)
            if self.express is not None and not incoming.rest and not incoming.on_disk:
                conn.held = self.express.take(conn)
            if not conn.held:
                self.poller.unregister(conn.sock)
                self.enqueue_req(conn)
        elif incoming.head_ends and (incoming.expects or incoming.is_large):
            self._ask(conn)

    def enqueue_req(self, conn: TConn) -> None:
        """Have a thread handle a request; questions whether we live have one of their own.

        Where the others are all at work, whoever watches over this process would end it.
        """
        pool = self.tpool
        if isinstance(conn, Connection) and conn.incoming.received.startswith(_HEALTH):
            pool = self._health
        done = pool.submit(self.handle, conn)
        done.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))

    def _has_room(self, incoming: Incoming) -> bool:
        more = incoming.on_disk - incoming.room
        if not more or not self._room.take(more):
            return not more
        incoming.room += more
        return True

    def _ask(self, conn: Connection) -> None:
        """Find out, in a thread, whether a request that is to bring much would be refused."""
        if self.preflight is None or conn.incoming.admitted:
            return
        conn.incoming.admitted = True
        self._reading.pop(conn, None)
        self.poller.unregister(conn.sock)
        asked = self.tpool.submit(
            self.preflight.ask, conn.incoming.head(), conn.client, conn.server
        )
        asked.add_done_callback(lambda answer: self.defer(partial(self._answered, conn, answer)))

    def _answered(self, conn: Connection, asked: Any) -> None:
        self._await(conn)
        try:
            refused, conn.incoming.most = asked.result()
        except Exception as error:  # whatever it is, the request can be handled as any other
            self.log.error("A request could not be looked at before it was read: %s", error)
            refused = b""
        if refused:
            self._close_after(conn, refused)
        elif conn.incoming.expects:
            self._close_after(conn, b"HTTP/1.1 100 Continue\r\n\r\n", keep=True)

    def _refuse(self, conn: Connection, refused: Refusal) -> None:
        self._close_after(conn, raw_answer(refused))

    def _close_after(self, conn: Connection, answer: bytes, *, keep: bool = False) -> None:
        try:
            conn.sock.sendall(answer)
        except OSError:
            self._drop(conn)
            return
        if not keep:
            self._release(conn)
            self.poller.unregister(conn.sock)
            self._linger(conn)

    # -- answers ----------------------------------------------------------------------------------

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Go on once a thread has handled a request and what it wrote is sent."""
        if not isinstance(conn, Connection):
            super().finish_request(conn, fs)
            return
        conn.ended = bool(not fs.cancelled() and fs.exception() is None and fs.result())
        self._release(conn)
        if conn in self._writing or conn.gone:
            return
        if conn.sock.waits:
            self._watch(conn)
        else:
            self._go_on(conn)

    def _watch(self, conn: Connection) -> None:
        if conn in self._writing or not conn.sock.waits:
            return
        self._writing.add(conn)
        self._try(partial(self.poller.unregister, conn.sock))
        self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._write, conn))

    def _write(self, conn: Connection, _client: object) -> None:
        conn.sock.flush()
        if conn.sock.waits:
            return
        self.poller.unregister(conn.sock)
        self._writing.discard(conn)
        if conn.ended is not None:
            self._go_on(conn)
        elif conn in self._reading:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))

    def _go_on(self, conn: Connection) -> None:
        kept, conn.ended = conn.ended, None
        rest, conn.incoming = conn.incoming.rest, Incoming()
        if conn.sock.broken:
            self._drop(conn)
        elif not kept:
            self._linger(conn)
        elif rest:
            self._await(conn)
            self._take(conn, rest)
        else:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))
            self._keep(conn)

    # -- between requests and at the end ----------------------------------------------------------

    def _keep(self, conn: Connection) -> None:
        conn.idle = True
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)

    def _linger(self, conn: Connection) -> None:
        """Close a connection so that its last answer arrives (RFC 9112, section 9.6)."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        conn.until = time.monotonic() + _LINGER_S
        conn.timeout = time.monotonic() + _LONGEST_LINGER_S
        self._lingering[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._pass_over, conn))

    def _pass_over(self, conn: Connection, _client: object) -> None:
        content = _received(conn)
        if content is None:
            return
        if not content:
            self._drop(conn)
            return
        conn.until = min(time.monotonic() + _LINGER_S, conn.timeout)

    def _make_place(self) -> bool:
        """Close the connection that is missed least, or return False where each is at work.

        It is the oldest of the address that has the most of them.
        """
        idle = [conn for conn in self.keepalived_conns if isinstance(conn, Connection)]
        for chosen in (list(self._lingering), [*idle, *self._reading], list(self._writing)):
            if chosen:
                counts = Counter(_address(conn) for conn in chosen)
                most = counts.most_common(1)[0][0]
                self._drop(next(conn for conn in chosen if _address(conn) == most))
                return True
        return False

    def _release(self, conn: Connection) -> None:
        self._room.give(conn.incoming.room)
        conn.incoming.room = 0
        conn.incoming.release()
        self._reading.pop(conn, None)

    def _drop(self, conn: Connection) -> None:
        self._release(conn)
        self._lingering.pop(conn, None)
        self._writing.discard(conn)
        if conn.idle:
            self.keepalived_conns.remove(conn)
        self._try(partial(self.poller.unregister, conn.sock))
        self.nr_conns -= 1
        conn.gone = True
        conn.close()

    @staticmethod
    def _try(do: Callable[[], object]) -> None:
        with suppress(OSError, KeyError, ValueError):
            do()


def _received(conn: Connection) -> bytes | None:
    """Return what a client sent, empty where it has gone, or None where nothing is there yet."""
    try:
        return conn.sock.recv(_READ)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _address(conn: TConn) -> str:
    return str(conn.client[0]) if conn.client else ""
