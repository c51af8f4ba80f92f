"""A client's connection: uvicorn's reading of HTTP, with limits on what one client may use.

httptools (llhttp) parses the requests, and uvicorn calls the door for each. This module counts how
much a client sends and how fast it sends and reads, and answers what is not HTTP with our errors.
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

_HEAD_TIMEOUT_S: Final = 60.0  # for the head of a request and the beginning of its body
_LEAST_RATE: Final = 4096  # bytes per second, on average, of a body and of an answer
_READ_TIMEOUT_S: Final = 30.0  # for which a client may read nothing of its answer
_LINGER_S: Final = 2.0  # for a client to close its connection after the last answer
_MOST_LINGER_S: Final = 15.0  # for one that goes on sending
_CHECK_S: Final = 0.5  # between two checks for slow clients
_LONGEST_TARGET: Final = 4094  # bytes
_MOST_HEADERS: Final = 100
_LONGEST_HEADER: Final = 8190  # bytes
_MOST_HEAD: Final = 64 * 1024  # bytes
_MOST_SMALL_CHUNKS, _SMALL_CHUNK = 5_000, 64  # beyond so many, chunks must average so many bytes
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})  # in no trailer


class _RefusedError(Exception):
    """Raised while a request is read; ends the connection."""

    def __init__(self, error: ErrorResponse) -> None:
        self.error = error


class ClientConnection(HttpToolsProtocol):
    """The connection of one client."""

    limit: ClassVar[int] = 1000  # connections that this process keeps open
    open: ClassVar[set["ClientConnection"]] = set()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.gone = False  # the client has closed the connection
        self.written = 0  # bytes of answers
        # Bytes of answers that the client had read at the last check, and when it fell behind.
        self._read_by_client = self._read_before = 0
        self._behind_since: float | None = None  # when bytes began to wait; monotonic
        self._last_read = 0.0  # when the client last read something
        self._began = time.monotonic()  # when the connection or its latest request began
        self._requests = 0  # that have begun
        self._incoming = False  # a request has begun and has not arrived whole
        self._reads_head = False
        self._resumes = False  # a new parser is given the head of a request that was read before
        self._head_bytes = self._headers = self._chunks = 0
        self._feeding = 0  # bytes that are parsed now
        self._arrived = 0  # bytes of the request
        self._lingers_until: float | None = None
        self._lingers_at_most = 0.0
        self._task: asyncio.Task[Any] | None = None  # that serves a request
        self._follows = False  # a request follows a job, so a closing client is noticed at once

    # -- what the transport calls -----------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Take a new connection; where there are too many, close another one."""
        super().connection_made(_Transport(transport, self))  # type: ignore[arg-type]  # acts as one
        self.open.add(self)
        if len(self.open) > self.limit:
            self.open.remove(self)
            _evict_one(self.open)
            self.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the work for the answer: the client has closed the connection."""
        self.gone = True
        self.open.discard(self)
        super().connection_lost(exc)
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as asyncio has it
        """Keep the connection of a client that only ended its sending and awaits an answer."""
        if self._lingers_until is not None or self._follows or self._incoming:
            return False
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        if self._lingers_until is not None:
            self._lingers_until = min(time.monotonic() + _LINGER_S, self._lingers_at_most)
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
        """Give bytes to the parser.

        The parser stops at a request with `Upgrade`, as Java's HTTP client sends for HTTP/2. This
        server upgrades to nothing, so the body of the request and what follows are HTTP/1.1: a new
        parser is given the headers that say how the body ends, and goes on.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as before
                if framing := self._framing():
                    self._resumes = True
                    rows = b"".join(b"%b: %b\r\n" % row for row in framing)
                    self.parser.feed_data(b"POST / HTTP/1.1\r\n" + rows + b"\r\n")
                    self._resumes = False
                if not data:
                    return
            else:
                return

    def _framing(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that say how the request's body ends."""
        return [row for row in self.headers if row[0] in _FRAMING]

    # -- what the parser calls --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin to count what a request sends."""
        if self._resumes:
            return
        super().on_message_begin()
        self._requests += 1
        self._begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target; refuse one that is too long."""
        if self._resumes:
            return
        super().on_url(url)
        if len(self.url) > _LONGEST_TARGET:
            raise _RefusedError(URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are ignored."""
        if self._resumes:
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
        """Begin to answer the request: its head has arrived."""
        if self._resumes:
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
        if self._chunks > _MOST_SMALL_CHUNKS and self._arrived < _SMALL_CHUNK * self._chunks:
            raise _RefusedError(CHUNKS_TOO_SMALL)

    def on_message_complete(self) -> None:
        """Note that the request has arrived whole."""
        if self.parser.should_upgrade() and self._framing():  # its body follows, see `_feed`
            return
        self._incoming = False
        super().on_message_complete()

    # -- what the server and the door call --------------------------------------------------------

    def shutdown(self) -> None:
        """End soon, as the whole server does."""
        self.app.stop_waiting()
        if self.is_idle():
            self.transport.abort()
        super().shutdown()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve a request in this task, which is cancelled if the client goes."""
        self._task = asyncio.current_task()
        try:
            yield
        finally:
            self._task = None

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow a job: a client that ends its sending counts as gone."""
        self._follows = True
        try:
            yield
        finally:
            self._follows = False

    def join_head(self) -> None:
        """Send the head of an answer, which comes next, together with what follows it."""
        self.transport.join()  # type: ignore[attr-defined]  # see `_Transport`

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def is_receiving(self) -> bool:
        """Whether a request has begun and has not arrived whole."""
        return self._incoming

    def is_idle(self) -> bool:
        """Whether no request of it is being answered."""
        return self.cycle is None or self.cycle.response_complete or self._incoming

    def idle_since(self) -> float:
        """Return when the connection or its latest request began, of the monotonic clock."""
        return self._began

    # -- what ends a connection -------------------------------------------------------------------

    def refuse(self, error: ErrorResponse) -> None:
        """Answer with an error, unless an answer has begun, and close."""
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
        self._incoming, self._reads_head = True, False  # ignore what it still sends
        self.transport.close()

    def linger(self, transport: Any) -> None:
        """End the sending, and close once the client has read the last answer.

        Closing while the client still sends would reset the connection, and the answer be lost.
        """
        if self._lingers_until is None:
            now = time.monotonic()
            self._lingers_at_most = now + _MOST_LINGER_S
            self._lingers_until = now + _LINGER_S
            if transport.can_write_eof():
                transport.write_eof()
            self.flow.resume_reading()

    def check_speed(self, now: float) -> None:
        """Close the connection of a client that sends or reads too slowly."""
        if self._lingers_until is not None:
            if now > self._lingers_until:
                self.transport.abort()
        elif self._reads_too_slowly(now):
            self.transport.abort()
        elif self._incoming and not self.flow.read_paused:
            if now > self._began + _HEAD_TIMEOUT_S + self._arrived / _LEAST_RATE:
                self.refuse(TOO_SLOW)
        elif not self._requests and now > self._began + _HEAD_TIMEOUT_S:  # it never sent anything
            self.transport.close()

    def _begin(self) -> None:
        self._incoming = self._reads_head = True
        self._began = time.monotonic()
        self._arrived = self._feeding
        self._head_bytes = self._headers = self._chunks = 0

    def _reads_too_slowly(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            self._behind_since = None
            return False
        read = self.written - unsent
        if self._behind_since is None:
            self._behind_since = self._last_read = now
            self._read_by_client = self._read_before = read
        if read > self._read_by_client:
            self._read_by_client, self._last_read = read, now
        due = self._behind_since + _HEAD_TIMEOUT_S + (read - self._read_before) / _LEAST_RATE
        return now > self._last_read + _READ_TIMEOUT_S or now > due


class _Transport:
    """A transport that stays open while its client still sends."""

    def __init__(self, transport: Any, connection: ClientConnection) -> None:
        self._transport = transport
        self._connection = connection
        self._closing = False
        self._joins = False  # what is written next is kept until more is
        self._kept = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, unless the connection is closing."""
        if self._closing:
            return
        self._connection.written += len(data)
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
        if self._connection.is_receiving() and not self._connection.gone:
            self._closing = True
            self._connection.linger(self._transport)
        else:
            self._transport.close()


async def close_slow_clients() -> None:
    """Check the speed of all clients for as long as the process serves."""
    while True:
        await asyncio.sleep(_CHECK_S)
        now = time.monotonic()
        for connection in list(ClientConnection.open):
            connection.check_speed(now)


def _evict_one(connections: set[ClientConnection]) -> None:
    """Close the oldest idle connection of the address that has the most of them."""
    idle = [one for one in connections if one.is_idle()]
    if not idle:
        return
    counts = Counter(_address(one) for one in idle)
    most = counts.most_common(1)[0][0]
    oldest = min((one for one in idle if _address(one) == most), key=ClientConnection.idle_since)
    connections.remove(oldest)
    oldest.abort()


def _address(connection: ClientConnection) -> str:
    return connection.client[0] if connection.client else ""
