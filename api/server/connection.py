"""A client's connection: uvicorn's reading of HTTP, with bounds on what one client may take.

httptools (llhttp) reads the requests and uvicorn runs the door for each; here it is counted how
much a client sends and how fast, and what is wrong is answered in our own form.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.server.error_responses import (
    CHUNKS_TOO_SMALL,
    HEADERS_TOO_LARGE,
    NOT_HTTP,
    TOO_SLOW,
    URI_TOO_LONG,
    ErrorResponse,
)

_log = structlog.get_logger(__name__)

_ARRIVE_S: Final = 60.0  # for the head of a request and the beginning of its body
_SLOWEST: Final = 4096  # bytes per second, in the long run, of a body and of an answer
_STALLED_S: Final = 30.0  # without a client taking anything
_LINGER_S: Final = 2.0  # that a client has to close a connection after its last answer
_LONGEST_LINGER_S: Final = 15.0
_SWEEP_S: Final = 0.5  # between two looks for slow clients
_LONGEST_TARGET: Final = 4094  # bytes
_MOST_HEADERS: Final = 100
_LONGEST_HEADER: Final = 8190  # bytes
_MOST_HEAD: Final = 64 * 1024  # bytes
_MANY, _TINY = 5_000, 64  # chunks that may be smaller than so many bytes
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})  # in no trailer


class _RefusedError(Exception):
    """Raised while a request is read; ends the connection."""

    def __init__(self, error: ErrorResponse) -> None:
        self.error = error


class Connection(HttpToolsProtocol):
    """A connection of a client."""

    most: ClassVar[int] = 1000  # connections of this process
    all: ClassVar[set["Connection"]] = set()  # of them, those that there are

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.gone = False
        self.given = 0  # bytes of answers
        self._taken = self._taken_then = 0  # of these, at the last look and when something waited
        self._waits_since: float | None = None  # from when on something waits to be taken
        self._moved = 0.0  # when the client last took something
        self._began = time.monotonic()
        self._requests = 0  # that have begun
        self._incoming = False  # a request has begun and is not there whole
        self._reads_head = False
        self._reads_on = False  # of a request of which the head was read before
        self._head_bytes = self._headers = self._chunks = 0
        self._feeding = 0  # bytes that are read now
        self._arrived = 0  # bytes of the request
        self._lingers_until: float | None = None
        self._lingers_longest = 0.0
        self._task: asyncio.Task[Any] | None = None  # that serves a request
        self._follows = False  # a job; else a client that goes is not noticed at once

    # -- what the transport calls -----------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Take a new connection; where there are too many, close another one."""
        super().connection_made(_Transport(transport, self))  # type: ignore[arg-type]  # acts as one
        self.all.add(self)
        if len(self.all) > self.most:
            self.all.remove(self)
            _make_place(self.all)
            self.all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the client has gone: what is done for its answer ends."""
        self.gone = True
        self.all.discard(self)
        super().connection_lost(exc)
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as asyncio has it
        """Answer a client that only says that it sends no more, unless it would have to wait."""
        if self._lingers_until is not None or self._follows or self._incoming:
            return False
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._lingers_until is not None:
            self._lingers_until = min(time.monotonic() + _LINGER_S, self._lingers_longest)
            return
        self._feeding = len(data)
        self._arrived += len(data)
        self._unset_keepalive_if_required()
        if not self._incoming:
            self._begin()
        try:
            self._feed(data)
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, _RefusedError):
                self.refuse(error.__context__.error)
            elif isinstance(error.__context__, httptools.HttpParserError | UnicodeError):
                self.refuse(NOT_HTTP)
            else:
                raise
        except httptools.HttpParserError as error:
            _log.info("not HTTP", action="not_http", client=self.client, error=str(error))
            self.refuse(NOT_HTTP)
        if self._reads_head and self._arrived > _MOST_HEAD:
            self.refuse(HEADERS_TOO_LARGE)

    def _feed(self, data: bytes) -> None:
        """Parse what has come.

        The parser ends at a request that asks to go on in another protocol, as Java's HTTP client
        does with HTTP/2. None is spoken here, so the request's body and what follows are HTTP/1.1:
        another parser is told of the body and reads on.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as before
                if framing := self._framing():
                    self._reads_on = True
                    rows = b"".join(b"%b: %b\r\n" % row for row in framing)
                    self.parser.feed_data(b"POST / HTTP/1.1\r\n" + rows + b"\r\n")
                    self._reads_on = False
                if not data:
                    return
            else:
                return

    def _framing(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that say how the request's body ends."""
        return [row for row in self.headers if row[0] in _FRAMING]

    # -- what the parser calls --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Count what a request brings."""
        if self._reads_on:
            return
        super().on_message_begin()
        self._requests += 1
        self._begin()

    def on_url(self, url: bytes) -> None:
        """Read a piece of the target."""
        if self._reads_on:
            return
        super().on_url(url)
        if len(self.url) > _LONGEST_TARGET:
            raise _RefusedError(URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a header, or a trailer, which is passed over."""
        if self._reads_on:
            return
        self._headers += 1
        self._head_bytes += len(name) + len(value)
        too_large = self._headers > _MOST_HEADERS or self._head_bytes > _MOST_HEAD
        if too_large or len(name) + len(value) > _LONGEST_HEADER:
            raise _RefusedError(HEADERS_TOO_LARGE)
        if self._reads_head:
            super().on_header(name, value)
        elif name.lower() in _FRAMING:
            raise _RefusedError(NOT_HTTP)

    def on_headers_complete(self) -> None:
        """Have the request answered: its head is there."""
        if self._reads_on:
            return
        self._reads_head = False
        version = self.parser.get_http_version()
        coded = any(name == b"transfer-encoding" for name, _ in self.headers)
        if version not in _VERSIONS or (coded and version == "1.0"):
            raise _RefusedError(NOT_HTTP)
        self.scope["connection"] = self  # type: ignore[typeddict-unknown-key]
        self.scope["target"] = self.url  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Count a chunk of the body."""
        self._chunks += 1
        if self._chunks > _MANY and self._arrived < _TINY * self._chunks:
            raise _RefusedError(CHUNKS_TOO_SMALL)

    def on_message_complete(self) -> None:
        """Take note that the request is there whole."""
        if self.parser.should_upgrade() and self._framing():  # its body comes yet, see `_feed`
            return
        self._incoming = False
        super().on_message_complete()

    # -- what the server and the door call --------------------------------------------------------

    def shutdown(self) -> None:
        """End soon, as the whole server does."""
        self.app.stop_waiting()
        if self.is_waiting():
            self.transport.abort()
        super().shutdown()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve a request in this task, which is cancelled where the client goes."""
        self._task = asyncio.current_task()
        try:
            yield
        finally:
            self._task = None

    @contextmanager
    def following(self) -> Iterator[None]:
        """Wait for a job: a client that sends no more is taken for gone."""
        self._follows = True
        try:
            yield
        finally:
            self._follows = False

    def join_head(self) -> None:
        """Send the head of an answer, which comes next, together with what follows it."""
        self.transport.join()  # type: ignore[attr-defined]  # see `_Transport`

    def abort(self) -> None:
        """Break off."""
        self.transport.abort()

    def is_sending(self) -> bool:
        """Whether a request has begun to come and is not there whole."""
        return self._incoming

    def is_waiting(self) -> bool:
        """Whether nothing of it is being answered."""
        return self.cycle is None or self.cycle.response_complete or self._incoming

    def age(self) -> float:
        """Return since when it has been as it is, of the monotonic clock."""
        return self._began

    # -- what ends a connection -------------------------------------------------------------------

    def refuse(self, error: ErrorResponse) -> None:
        """Answer what cannot be read, unless an answer has begun, and close."""
        if self._lingers_until is not None or self.transport.is_closing():
            return
        cycle = self.cycle
        begun = False
        if cycle is not None and not cycle.response_complete:
            begun = cycle.response_started
            cycle.disconnected = True
            cycle.message_event.set()
        if not begun:
            self.transport.write(error.encode())
        self._incoming, self._reads_head = True, False  # what it sends is read no more
        self.transport.close()

    def linger(self, transport: Any) -> None:
        """Say that nothing more is sent, and close once the client has heard the last answer.

        A connection that is closed while its client still sends is reset, and the answer lost.
        """
        if self._lingers_until is None:
            now = time.monotonic()
            self._lingers_longest = now + _LONGEST_LINGER_S
            self._lingers_until = now + _LINGER_S
            if transport.can_write_eof():
                transport.write_eof()
            self.flow.resume_reading()

    def look(self, now: float) -> None:
        """Give up a client that sends or takes too slowly."""
        if self._lingers_until is not None:
            if now > self._lingers_until:
                self.transport.abort()
        elif self._is_slow_to_take(now):
            self.transport.abort()
        elif self._incoming and not self.flow.read_paused:
            if now > self._began + _ARRIVE_S + self._arrived / _SLOWEST:
                self.refuse(TOO_SLOW)
        elif not self._requests and now > self._began + _ARRIVE_S:  # it never sent anything
            self.transport.close()

    def _begin(self) -> None:
        self._incoming = self._reads_head = True
        self._began = time.monotonic()
        self._arrived = self._feeding
        self._head_bytes = self._headers = self._chunks = 0

    def _is_slow_to_take(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            self._waits_since = None
            return False
        taken = self.given - unsent
        if self._waits_since is None:
            self._waits_since = self._moved = now
            self._taken = self._taken_then = taken
        if taken > self._taken:
            self._taken, self._moved = taken, now
        pace = self._waits_since + _ARRIVE_S + (taken - self._taken_then) / _SLOWEST
        return now > self._moved + _STALLED_S or now > pace


class _Transport:
    """A transport that is not closed while its client still sends."""

    def __init__(self, transport: Any, connection: Connection) -> None:
        self._transport = transport
        self._connection = connection
        self._closing = False
        self._joins = False  # what is written next is kept until more is
        self._kept = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, unless the last answer was sent."""
        if self._closing:
            return
        self._connection.given += len(data)
        if self._joins:
            self._joins, self._kept = False, data
        elif self._kept:
            data, self._kept = self._kept + data, b""
            self._transport.write(data)
        else:
            self._transport.write(data)

    def join(self) -> None:
        """Keep what is written next until more is."""
        self._joins = True

    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        return self._closing or bool(self._transport.is_closing())

    def close(self) -> None:
        """Close the connection once all is sent."""
        if self._kept:
            self._transport.write(self._kept)
            self._kept = b""
        if self._connection.is_sending() and not self._connection.gone:
            self._closing = True
            self._connection.linger(self._transport)
        else:
            self._transport.close()


async def sweep() -> None:
    """Look for slow clients for as long as the process serves."""
    while True:
        await asyncio.sleep(_SWEEP_S)
        now = time.monotonic()
        for connection in list(Connection.all):
            connection.look(now)


def _make_place(connections: set[Connection]) -> None:
    """Close the oldest connection that is not being served, of the address that has the most."""
    waiting = [one for one in connections if one.is_waiting()]
    if not waiting:
        return
    counts = Counter(_address(one) for one in waiting)
    most = counts.most_common(1)[0][0]
    oldest = min((one for one in waiting if _address(one) == most), key=Connection.age)
    connections.remove(oldest)
    oldest.abort()


def _address(connection: Connection) -> str:
    return connection.client[0] if connection.client else ""
