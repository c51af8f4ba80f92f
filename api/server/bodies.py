"""Bodies of requests: small ones are kept in memory, large ones in a temporary file."""

import io
import tempfile
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import IO, Any, BinaryIO, Self, cast

from werkzeug.exceptions import RequestEntityTooLarge

from api.server.spool import SpoolBudget
from worker.errors import OverloadedError

SMALL = 256 * 1024  # bytes of a body that are kept in memory
_MOST_DRAINED = 64 * 1024

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class ClientGoneError(Exception):
    """Raised where the client has closed the connection before its answer."""


class RequestBody:
    """The body of one request, as far as it has arrived."""

    def __init__(self, receive: Receive, spool: SpoolBudget, environ: Mapping[str, Any]) -> None:
        self._receive = receive
        self._spool = spool
        self._is_asked_for = "HTTP_EXPECT" in environ  # the client sends it only when it is read
        self.expected = int(
            environ.get("CONTENT_LENGTH") or 0
        )  # bytes; 0 where the client does not say
        self.is_chunked = "HTTP_TRANSFER_ENCODING" in environ
        self._memory = io.BytesIO()
        self._file: IO[bytes] | None = None
        self._file_bytes = 0  # bytes of the file, reserved in the spool
        self._lent = self._closed = False
        self.size = 0
        self.whole = not self.expected and not self.is_chunked

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        self._release()

    def lend(self) -> None:
        """Keep what was read until `give_back`, for a thread, even if the client goes before."""
        self._lent = True

    def give_back(self) -> None:
        """Note that the thread has ended its reading."""
        self._lent = False
        self._release()

    def _release(self) -> None:
        if self._lent or not self._closed:
            return
        if self._file is not None:
            self._file.close()
        self._spool.release(self._file_bytes)
        self._file_bytes = 0

    async def read(self, most: int, *, until: float = float("inf")) -> None:
        """Read on until the body has arrived whole, or more than `until` bytes of it.

        Raises `RequestEntityTooLarge` beyond `most` bytes, `OverloadedError` where the spool is
        full, `OSError` where the disk is full, and `ClientGoneError`.
        """
        while not self.whole and self.size <= until:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            content = message.get("body", b"")
            self.whole = not message.get("more_body", False)
            self.size += len(content)
            if self.size > most:
                raise RequestEntityTooLarge
            self._store(content)

    async def drain(self) -> None:
        """Read the small body of a refused request, so that its connection can be kept."""
        if (
            not self.whole
            and self.expected
            and self.expected <= _MOST_DRAINED
            and not self._is_asked_for
        ):
            await self.read(self.expected)

    def stream(self) -> BinaryIO:
        """Return what was read, as a file at its beginning."""
        stream = self._file or self._memory
        stream.seek(0)
        return cast("BinaryIO", stream)

    def _store(self, content: bytes) -> None:
        if self._file is None and self.size <= SMALL:
            self._memory.write(content)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the body
            content = self._memory.getvalue() + content
            self._memory = io.BytesIO()
        if not self._spool.reserve(len(content)):
            raise OverloadedError(
                "There is no room for so much that arrives at once: try again later."
            )
        self._file_bytes += len(content)
        self._file.write(content)
