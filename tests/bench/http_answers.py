"""Reading the answers of HTTP/1.1 from a connection, piece by piece, at little cost."""

import re
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
_LOCATION = re.compile(rb"\r\nlocation:[ \t]*([^\r\n]+)", re.IGNORECASE)
_ORIGIN = re.compile(rb"^https?://[^/]*")
_END = b"\r\n\r\n"


class NotHttpError(Exception):
    """What came is no answer that can be read; the message says why."""


@dataclass(frozen=True)
class Answer:
    """One complete answer."""

    status: int
    body: bytes
    closes: bool  # the server ends the connection after it
    location: bytes = b""  # path that `Location` names


class AnswerReader:
    """Puts the pieces of one answer together. One request at a time is under way."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body_at = 0  # 0: the head is not whole yet
        self._needed = 0  # bytes of head and body together

    def feed(self, piece: bytes) -> Answer | None:
        """Take a piece and return the answer once it is whole; raise `NotHttpError`."""
        self._buffer += piece
        if not self._body_at and not self._read_head():
            return None
        if len(self._buffer) < self._needed:
            return None
        if len(self._buffer) > self._needed:
            raise NotHttpError("more came than the answer's length")
        head, body = bytes(self._buffer[: self._body_at]), bytes(self._buffer[self._body_at :])
        closes = head.startswith(b"HTTP/1.0") or _CLOSES.search(head) is not None
        self._buffer, self._body_at = bytearray(), 0
        found = _LOCATION.search(head)
        location = _ORIGIN.sub(b"", found[1]) if found else b""
        return Answer(int(head[9:12]), body, closes, location)

    def _read_head(self) -> bool:
        end = self._buffer.find(_END)
        if end < 0:
            return False
        head = self._buffer[: end + len(_END)]
        if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
            raise NotHttpError(f"no HTTP: {bytes(head[:40])!r}")
        length = _LENGTH.search(head)
        if length is None:
            raise NotHttpError("an answer without Content-Length")
        self._body_at = len(head)
        self._needed = self._body_at + int(length[1])
        return True
