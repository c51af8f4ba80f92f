"""Answers on their way out: what a client does not take at once waits here, not in a thread.

A thread writes as to a socket and goes on. What the socket does not take is kept in memory, then in
a file without a name, and sent by the loop as fast as the client takes it; files are sent from
where they are. A client that takes nothing for a while, or less than a certain pace, is dropped.
"""

import errno
import os
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from api.incoming import ARRIVE_S, SLOWEST

_IN_MEMORY = 256 * 1024  # bytes that wait for one client
_PIECE = 1024 * 1024  # bytes that are sent at once
_AT_ONCE = 4 * _PIECE  # bytes for one client in one turn of the loop
_SMALL_FILE = 64 * 1024  # bytes that a thread reads and sends itself
_STALLED_S = 30.0  # without a client taking anything
_ROOM_S = 5.0  # that a thread waits for room on the disk


class Room:
    """The bytes that one process keeps in files for all its clients."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Take room for so many bytes, or return False."""
        with self._lock:
            if self._taken + count > self._most:
                return False
            self._taken += count
            return True

    def give(self, count: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._taken -= count


@dataclass
class _Part:
    """Bytes of a file."""

    file: IO[bytes]
    at: int
    count: int


class Outgoing:
    """A connection's socket, as gunicorn's threads and the loop use it; it never blocks."""

    def __init__(self, sock: socket.socket, room: Room) -> None:
        self._sock = sock
        self._room = room
        self.wake: Callable[[], object] = lambda: None  # called once something waits, in any thread
        self.answered = False  # whether something was sent, since someone said that nothing was
        self._lock = threading.Lock()
        self._memory = bytearray()  # goes out before the parts
        self._parts: deque[_Part] = deque()
        self._spill: IO[bytes] | None = None
        self._spilled = 0
        self._since = self._moved = 0.0  # monotonic; when something began to wait, and last moved
        self._sent = 0  # bytes since then
        self.broken = False
        sock.setblocking(False)

    # -- as a socket --------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._sock.fileno()

    def setblocking(self, _blocking: bool, /) -> None:
        """Do nothing: neither the loop nor a thread waits here."""

    def settimeout(self, _seconds: float | None, /) -> None:
        """Do nothing."""

    def gettimeout(self) -> float | None:
        """Return what a blocking socket has."""
        return None

    def recv(self, most: int) -> bytes:
        """Return what has come; raise `BlockingIOError` where nothing has."""
        return self._sock.recv(most)

    def send(self, data: bytes) -> int:
        """Send all, sooner or later."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Send, or keep what the client does not take; raise `OSError` where it has gone."""
        self.answered = True
        with self._lock:
            waited = self.waits
            rest = memoryview(data)
            if not waited:
                rest = rest[self._try_to_send(rest) :]
            self._check()
            if not rest:
                return
            if self._parts or len(self._memory) + len(rest) > _IN_MEMORY:
                self._write_out(rest)
            else:
                self._memory += rest
        if not waited:
            self._begin()

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a part of a file, which the caller may close at once."""
        size = os.fstat(file.fileno()).st_size - offset if count is None else count
        if size <= _SMALL_FILE:
            self.sendall(os.pread(file.fileno(), size, offset))
            return size
        with self._lock:
            self._check()
            self.answered = True
            waited = self.waits
            own = os.fdopen(os.dup(file.fileno()), "rb", buffering=0)
            self._parts.append(_Part(own, offset, size))
        if not waited:
            self._begin()
        return size

    def shutdown(self, how: int) -> None:
        """Say that nothing more is sent."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close the connection; what waits is lost."""
        with self._lock:
            self._forget()
            self.broken = True
        self._sock.close()

    # -- for the loop -------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._memory or self._parts)

    def is_late(self, now: float) -> bool:
        """Whether the client takes what waits too slowly."""
        if not self.waits or not self._since:
            return False
        slow = now > self._since + ARRIVE_S + self._sent / SLOWEST
        return slow or now > self._moved + _STALLED_S

    def flush(self) -> None:
        """Send what the client takes now."""
        with self._lock:
            left = _AT_ONCE
            try:
                while self.waits and left > 0:
                    sent = self._send_some()
                    self._sent += sent
                    left -= sent
            except BlockingIOError:
                pass
            except OSError:
                self.broken = True
            if left < _AT_ONCE:
                self._moved = time.monotonic()
            if self.broken or not self.waits:
                self._forget()

    def _send_some(self) -> int:
        if self._memory:
            sent = self._sock.send(memoryview(self._memory)[:_PIECE])
            del self._memory[:sent]
            return sent
        part = self._parts[0]
        sent = os.sendfile(
            self._sock.fileno(), part.file.fileno(), part.at, min(part.count, _PIECE)
        )
        if not sent:
            raise OSError(errno.EIO, "The file became shorter while it was sent.")
        part.at += sent
        part.count -= sent
        if not part.count:
            self._parts.popleft()
            if part.file is not self._spill:
                part.file.close()
        return sent

    # -- what waits ---------------------------------------------------------------------------

    def _begin(self) -> None:
        self._since = self._moved = time.monotonic()
        self._sent = 0
        self.wake()

    def _check(self) -> None:
        if self.broken:
            raise BrokenPipeError(errno.EPIPE, "The client has gone.")

    def _try_to_send(self, data: memoryview) -> int:
        try:
            return 0 if self.broken else self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.broken = True
            return 0

    def _write_out(self, data: memoryview) -> None:
        """Put bytes behind all others, in the file."""
        until = time.monotonic() + _ROOM_S
        while not self._room.take(len(data)):
            self._lock.release()
            try:
                time.sleep(0.05)
            finally:
                self._lock.acquire()
            self._check()
            if time.monotonic() > until:
                self.broken = True
                self._check()
        self._spilled += len(data)
        if self._spill is None:
            self._spill = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - see `_forget`
        end = os.lseek(self._spill.fileno(), 0, os.SEEK_END)
        last = self._parts[-1] if self._parts else None
        while data:
            written = os.write(self._spill.fileno(), data)
            data = data[written:]
            if last is not None and last.file is self._spill and last.at + last.count == end:
                last.count += written
            else:
                last = _Part(self._spill, end, written)
                self._parts.append(last)
            end += written

    def _forget(self) -> None:
        self._memory.clear()
        files = {id(part.file): part.file for part in self._parts}
        self._parts.clear()
        if self._spill is not None:
            files[id(self._spill)] = self._spill
            self._spill = None
        for file in files.values():
            with suppress(OSError):
                file.close()
        self._room.give(self._spilled)
        self._spilled = 0
