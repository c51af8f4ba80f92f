"""Recorded requests as the load client sends them: to another address, with keys of their own."""

import re
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.bench.uploads import Reading, Upload

_END = b"\r\n\r\n"
_KEY = re.compile(rb"\r\nidempotency-key:[ \t]*([^\r\n]+)", re.IGNORECASE)


def replayed(
    requests: Sequence[Path],
    labels: Sequence[frozenset[bytes]],
    *,
    recorded_at: str,
    port: int,
    path: str | None = None,
    reading: Path | None = None,
    every_s: float | None = None,
) -> list[Upload]:
    """Return the uploads. `path`: of the submission, in place of the one that was recorded.

    `reading`: the recorded request that reads a job, sent once, or every `every_s` seconds.
    """
    address = recorded_at.encode(), f"127.0.0.1:{port}".encode()
    read = None
    if reading is not None:
        read = Reading(reading.read_bytes().replace(*address), every_s)
    uploads = []
    for file, right in zip(requests, labels, strict=True):
        head, _, body = file.read_bytes().partition(_END)
        if path is not None:
            head = _redirected(head, path.encode())
        head = head.replace(*address)
        found = _KEY.search(head)
        key = found.span(1) if found else None
        head += _END
        uploads.append(Upload(head + body, 1, right, read, key, len(head)))
    return uploads


def with_new_key(request: bytes, span: tuple[int, int]) -> bytes:
    """Return a request with another idempotency key, as long as the recorded one."""
    start, end = span
    key = uuid.uuid4()
    written = str(key) if end - start == len(str(key)) else key.hex
    return request[:start] + written[: end - start].encode() + request[end:]


def _redirected(head: bytes, path: bytes) -> bytes:
    """Return a head with another path; the query stays."""
    method, target, rest = head.split(b" ", 2)
    query = target.partition(b"?")[2]
    return b" ".join((method, path + (b"?" + query if query else b""), rest))
