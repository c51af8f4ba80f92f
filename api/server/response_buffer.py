"""Answers that threads write and clients read: what is not read yet waits here.

So a thread is free once it has written, however slowly the client reads. What waits is kept in
memory up to a limit, then in a temporary file. An answer that is a file is read from that file.
"""

import asyncio
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import IO

from api.server.spool import SpoolBudget

_IN_MEMORY = 256 * 1024  # bytes of one answer
_PIECE = 64 * 1024  # bytes that are read of a file at once
_SPOOL_TIMEOUT_S = 5.0  # for a thread to wait while the spool is full


class FileResponse:
    """What a WSGI application answers with a file (PEP 3333, `wsgi.file_wrapper`)."""

    def __init__(self, file: IO[bytes], _block_size: int = 8192) -> None:
        self.file = file

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.file.read(_PIECE):
            yield piece

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class ResponseBrokenError(Exception):
    """Raised where an answer that has begun cannot be completed."""


class ResponseBuffer:
    """One answer: a thread writes it, the event loop reads it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spool: SpoolBudget) -> None:
        self._loop = loop
        self._spool = spool
        self._lock = threading.Lock()
        self._memory: deque[bytes] = deque()  # goes out before what is in the file
        self._waiting = 0  # bytes in memory
        self._file: IO[bytes] | None = None
        self._read = self._written = 0  # bytes of the file
        self._changed = asyncio.Event()
        self._complete = False
        self._broken = False  # the thread failed
        self._closed = False  # the client has gone

    # -- in a thread ---------------------------------------------------------------------------

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write an answer to its end."""
        try:
            for piece in pieces:
                if piece:
                    self._write(piece)
        except BaseException:
            self._broken = True
            raise
        finally:
            close: Callable[[], object] | None = getattr(pieces, "close", None)
            if close is not None:
                close()
            self._complete = True
            self._notify()

    def _write(self, piece: bytes) -> None:
        with self._lock:
            in_memory = self._file is None and self._waiting + len(piece) <= _IN_MEMORY
            if in_memory:
                self._memory.append(piece)
                self._waiting += len(piece)
        if not in_memory:
            self._write_out(piece)
        self._notify()

    def _write_out(self, piece: bytes) -> None:
        until = time.monotonic() + _SPOOL_TIMEOUT_S
        while not self._spool.reserve(len(piece)):
            if self._closed or time.monotonic() > until:
                raise ResponseBrokenError
            time.sleep(0.05)
        with self._lock:
            self._written += len(piece)
            if self._closed:
                self._drop()
                raise ResponseBrokenError
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - see `_drop`
            self._file.seek(0, os.SEEK_END)
            self._file.write(piece)

    def _notify(self) -> None:
        if not self._closed:
            self._loop.call_soon_threadsafe(self._changed.set)

    # -- in the event loop ---------------------------------------------------------------------

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the answer; raise `ResponseBrokenError` where the thread failed within it."""
        while True:
            complete = self._complete
            piece = self._next()
            if piece:
                yield piece
            elif complete:
                if self._broken:
                    raise ResponseBrokenError
                return
            else:
                await self._changed.wait()
                self._changed.clear()

    async def size(self) -> int:
        """Return how many bytes wait, once the thread has written all."""
        while not self._complete:
            await self._changed.wait()
            self._changed.clear()
        with self._lock:
            return self._waiting + self._written - self._read

    def close(self) -> None:
        """Drop what waits; the thread fails at its next write."""
        with self._lock:
            self._closed = True
            self._drop()

    def _next(self) -> bytes:
        with self._lock:
            if self._memory:
                piece = b"".join(self._memory)
                self._memory.clear()
                self._waiting = 0
                return piece
            if self._file is None:
                return b""
            self._file.seek(self._read)
            piece = self._file.read(_PIECE)
            self._read += len(piece)
            if self._read == self._written:  # what follows may stay in memory again
                self._drop()
            return piece

    def _drop(self) -> None:
        self._memory.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._spool.release(self._written)
        self._read = self._written = 0
