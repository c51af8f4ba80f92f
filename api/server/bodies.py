"""Bodies of requests on their way in: small ones in memory, the rest in a file without a name."""

import io
import tempfile
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import IO, Any, BinaryIO, Self, cast

from werkzeug.exceptions import RequestEntityTooLarge

from api.server.spool import SpoolBudget
from worker.errors import OverloadedError

SMALL = 256 * 1024  # bytes of a body that are kept in memory
_LITTLE = 64 * 1024

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class ClientGoneError(Exception):
    """Raised where the client does not wait for its answer any more."""


class Body:
    """What has come of the body of one request."""

    def __init__(self, receive: Receive, spool: SpoolBudget, environ: Mapping[str, Any]) -> None:
        self._receive = receive
        self._spool = spool
        self._is_asked_for = "HTTP_EXPECT" in environ  # the client waits until it is read
        self.expected = int(environ.get("CONTENT_LENGTH") or 0)  # bytes, where that was said
        self.is_chunked = "HTTP_TRANSFER_ENCODING" in environ
        self._memory = io.BytesIO()
        self._file: IO[bytes] | None = None
        self._kept = 0  # bytes of the file for which room was taken
        self._lent = self._over = False
        self.size = 0
        self.whole = not self.expected and not self.is_chunked

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        self._let_go()

    def lend(self) -> None:
        """Keep what was read until `give_back`, also where the client goes before: for a thread."""
        self._lent = True

    def give_back(self) -> None:
        """Take note that the thread reads no more."""
        self._lent = False
        self._let_go()

    def _let_go(self) -> None:
        if self._lent or not self._over:
            return
        if self._file is not None:
            self._file.close()
        self._spool.release(self._kept)
        self._kept = 0

    async def read(self, most: int, *, until: float = float("inf")) -> None:
        """Read on until all is there, or more than `until` bytes.

        Raises `RequestEntityTooLarge` beyond `most` bytes, `OverloadedError` where there is no
        room, `OSError` where the disk is full, and `ClientGoneError`.
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
            self._keep(content)

    async def drain(self) -> None:
        """Read the little that a refused request brings, so that its connection can be kept."""
        if not self.whole and self.expected and self.expected <= _LITTLE and not self._is_asked_for:
            await self.read(self.expected)

    def stream(self) -> BinaryIO:
        """Return what was read, from its beginning."""
        stream = self._file or self._memory
        stream.seek(0)
        return cast("BinaryIO", stream)

    def _keep(self, content: bytes) -> None:
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
        self._kept += len(content)
        self._file.write(content)
