"""A request as it arrives: its head, how much of its body is still to come, and where that is kept.

The loop feeds it what a client sends. What is small stays in memory; the rest of a large body goes
to a file without a name. Only the end of the request is looked for here: what is odd ends it at
once, and gunicorn's parser, which then reads it whole, says what is wrong.
"""

import re
import tempfile
import time
from typing import IO, Any

from gunicorn.http.unreader import SocketUnreader

ARRIVE_S = 60.0  # for the head of a request and the beginning of its body
SLOWEST = 4096  # bytes per second, in the long run, of a body and of an answer
MOST_HEAD = 64 * 1024  # bytes; gunicorn refuses what is larger than its own limits
SMALL = 256 * 1024  # bytes of a body that are kept in memory
_READ = 1024 * 1024  # bytes of a file at a time
_MOST_LINE = 8192  # bytes of a chunk's size and its extensions
_MANY, _TINY = 5_000, 64  # chunks that may be smaller than so many bytes
_MOST_TRAILERS = 64 * 1024  # bytes

_END = b"\r\n\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[a-z, \t]*\bchunked[ \t]*\r\n")
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\r\n]*)?\r\n")


class Chunks:
    """Finds the end of a body that is sent in chunks (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self.ended = False
        self.tiny = False  # in so many small chunks that reading them is all that is done
        self._count = 0
        self._bytes = 0
        self._left = 0  # bytes of the chunk's data to come
        self._line = b""
        self._of = "size"  # what the next line is
        self._trailers = 0  # bytes

    def feed(self, data: bytes | bytearray) -> int:
        """Take what has come; return how much of it belongs to this body."""
        at = 0
        while at < len(data) and not self.ended:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            self._line += bytes(data[at:end])
            at = end
            if self._line.endswith(b"\n"):
                line, self._line = self._line, b""
                self._take(line)
            else:
                ends_data = self._of != "end" or b"\r\n".startswith(self._line)
                self.ended = len(self._line) > _MOST_LINE or not ends_data
        return at

    def _take(self, line: bytes) -> None:
        if self._of == "end":  # of a chunk's data
            self._of = "size"
            self.ended = line != b"\r\n"
        elif self._of == "size":
            found = _SIZE.fullmatch(line)
            self._left = int(found[1], 16) if found else 0
            self._of = "end" if self._left else "trailer"
            self._count += 1
            self._bytes += self._left
            self.tiny = self._count > _MANY and self._bytes < _TINY * self._count
            self.ended = found is None or self.tiny
        else:
            self._trailers += len(line)
            self.ended = (
                line == b"\r\n" or not line.endswith(b"\r\n") or self._trailers > _MOST_TRAILERS
            )


class Incoming:
    """One request on its way in."""

    def __init__(self) -> None:
        self.received = bytearray()  # all of it while it is small, else its head
        self.rest = b""  # what came behind it: the beginning of the next request
        self.whole = False
        self.head_ends = 0  # where the body begins; 0 until that is known
        self.head_too_large = False
        self.expects = False  # the client waits to be asked for the body
        self.admitted = False  # nothing speaks against reading it
        self.most = 0  # bytes that the body may have once it was admitted; 0: any number
        self.body = 0  # bytes received
        self.room = 0  # bytes that were taken for its file
        self._length = 0
        self._chunks: Chunks | None = None
        self._file: IO[bytes] | None = None
        self._began = time.monotonic()

    @property
    def is_large(self) -> bool:
        """Whether the body does not stay in memory."""
        return max(self._length, self.body) > SMALL

    @property
    def is_in_crumbs(self) -> bool:
        """Whether the body comes in more and smaller chunks than any client needs."""
        return self._chunks is not None and self._chunks.tiny

    @property
    def on_disk(self) -> int:
        """Bytes of the body that are in a file."""
        return self.body if self._file else 0

    def head(self) -> bytes:
        """Return the head, once it is there."""
        return bytes(self.received[: self.head_ends])

    def begin(self) -> None:
        """Count the time from now on: the first byte is there."""
        self._began = time.monotonic()

    def is_late(self, now: float) -> bool:
        """Whether it takes longer than any client should."""
        return now > self._began + ARRIVE_S + self.body / SLOWEST

    def feed(self, data: bytes) -> None:
        """Take what the client sent; raise `OSError` where it cannot be kept."""
        if self._file is not None:
            self._file.write(data[: self._belongs(data)])
            return
        self.received += data
        if self.head_ends:
            arrived = len(data)
        else:
            self._look_for_head(len(data))
            arrived = len(self.received) - self.head_ends
        if self.head_ends and not self.whole:
            belongs = self._belongs(data[-arrived:] if arrived else b"")
            del self.received[len(self.received) - (arrived - belongs) :]
            if self.body > SMALL:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `release`
                self._file.write(self.received[self.head_ends :])
                del self.received[self.head_ends :]

    def unreader(self, sock: Any) -> "Replay":
        """Return what gunicorn's parser reads the whole request from."""
        if self._file is not None:
            self._file.seek(0)
        return Replay(sock, bytes(self.received), self._file)

    def release(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self.received.clear()

    def _look_for_head(self, new: int) -> None:
        before = len(self.received) - new
        end = self.received.find(_END, max(0, before - 3))
        searched = self.received if end < 0 else self.received[: end + 4]
        if _BARE_LF.search(searched, before):
            self.whole = True  # no line ends so
        elif max(end, len(self.received) if end < 0 else 0) > MOST_HEAD:
            self.head_too_large = self.whole = True
        elif end >= 0:
            self.head_ends = end + len(_END)
            self._frame(bytes(self.received[: end + 2]))

    def _frame(self, head: bytes) -> None:
        head = head.lower()
        length = _LENGTH.search(head) if b"\r\ncontent-length:" in head else None
        self.expects = b"\r\nexpect:" in head and _EXPECT.search(head) is not None
        if b"\r\ntransfer-encoding:" in head:
            if _CHUNKED.search(head) and not length:
                self._chunks = Chunks()
            return
        self._length = int(length[1]) if length else 0

    def _belongs(self, data: bytes) -> int:
        """Take note of what has come of the body; return how much of it belongs to this one."""
        if self._chunks is not None:
            belongs = self._chunks.feed(data)
            self.whole = self._chunks.ended
        else:
            belongs = min(self._length - self.body, len(data))
            self.whole = self.body + belongs >= self._length
        self.body += belongs
        self.rest = data[belongs:]
        return belongs


class Replay(SocketUnreader):  # type: ignore[misc]  # gunicorn has no types
    """Gives a request that is there, and never waits for more."""

    def __init__(self, sock: Any, head: bytes, file: IO[bytes] | None) -> None:
        super().__init__(sock)
        self.unread(head)
        self._file = file

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes, or nothing at the end of the request."""
        if self._file is None or self._file.closed:
            return b""
        return self._file.read(min(max(size_hint or 0, self.mxchunk), _READ))

    def is_used_up(self) -> bool:
        """Whether nothing of the request was left."""
        return not self.take_buffered() and not self.chunk(1)
