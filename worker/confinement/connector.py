"""Connections to Redis for a process that may open none.

A confined process has no way to the network. Beside it runs one that connects to Redis, and to
nothing else, whenever it is asked to, and hands the connection over: so what is connected to is
said by the settings, and not by who asks. It ends with the process that it serves.
"""

import contextlib
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import redis.connection
import structlog

from worker.confinement.system import die_with_parent

_log = structlog.get_logger(__name__)
_MOST_AT_ONCE = 16
_PATIENCE_S = 1.0  # beyond what a connection may take
_MOST_DESCRIPTORS = 1024  # that may have been open
_ENDED_BY_ITSELF = 70  # exit code, EX_SOFTWARE
_DONE = b"connected"

Dial = Callable[[], socket.socket]


class Connector:
    """The process that connects. To be made while there is one thread."""

    def __init__(self, dial: Dial) -> None:
        """Fork it; `dial` is what it calls, and may raise `OSError`."""
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _serve(theirs, dial, parent)
        theirs.close()

    def connect(self, timeout_s: float | None) -> socket.socket:
        """Return a new connection; raise `OSError` where there is none within the time.

        Ends this process where the other one is gone: it could not reach its work any more, and
        its worker puts another in its place.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            ours.settimeout(None if timeout_s is None else timeout_s + _PATIENCE_S)
            with theirs:
                try:
                    socket.send_fds(self._channel, [b"?"], [theirs.fileno()])
                except (BrokenPipeError, ConnectionError):
                    _log.error("connector gone", action="connector_gone", pid=self.pid)
                    os._exit(_ENDED_BY_ITSELF)
            answer, descriptors, _, _ = socket.recv_fds(ours, 512, 1)
        if answer == _DONE and descriptors:
            return socket.socket(fileno=descriptors[0])
        number, _, text = answer.decode(errors="replace").partition(" ")
        raise OSError(int(number or 0), text or "the connector has ended")

    def use(self) -> None:
        """Have every connection that redis-py makes in this process, for Celery too, come from it.

        TLS is put over it by redis-py, as over its own.
        """

        def connect(connection: Any) -> socket.socket:
            made = self.connect(connection.socket_connect_timeout)
            made.settimeout(connection.socket_timeout)
            return made

        for kind in (redis.connection.Connection, redis.connection.UnixDomainSocketConnection):
            kind._connect = connect


def dial_of(connection: Any, timeout_s: float) -> Dial:
    """Return how to connect to where a redis-py connection leads, without TLS and passwords."""
    path = getattr(connection, "path", None)

    def dial() -> socket.socket:
        if path is None:
            made = socket.create_connection((connection.host, connection.port), timeout_s)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return made
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(timeout_s)
            made.connect(path)
        except OSError:
            made.close()
            raise
        return made

    return dial


def _serve(channel: socket.socket, dial: Dial, parent: int) -> NoReturn:
    """Connect for the confined processes, until all of them have ended."""
    try:
        gc.disable()  # it would copy what the processes have in common
        # A worker that is asked to stop still has to write what it has done.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Above all those by whose end the worker's main process learns of a death.
        os.closerange(3, channel.fileno())
        os.closerange(channel.fileno() + 1, _MOST_DESCRIPTORS)
        slots = threading.BoundedSemaphore(_MOST_AT_ONCE)
        if not die_with_parent(parent):
            os._exit(0)
        while True:
            asked, descriptors, _, _ = socket.recv_fds(channel, 16, 1)
            if not asked:
                os._exit(0)
            for descriptor in descriptors:
                slots.acquire()
                reply = socket.socket(fileno=descriptor)
                threading.Thread(target=_answer, args=(reply, dial, slots), daemon=True).start()
    finally:
        os._exit(1)


def _answer(reply: socket.socket, dial: Dial, slots: threading.BoundedSemaphore) -> None:
    try:
        with reply, contextlib.suppress(OSError):
            try:
                made = dial()
            except OSError as error:
                reason = f"{error.errno or 0} {error.strerror or error}"
                reply.send(reason.encode(errors="replace")[:400])
                return
            with made:
                socket.send_fds(reply, [_DONE], [made.fileno()])
    finally:
        slots.release()
