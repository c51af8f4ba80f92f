"""The requests of the load client: photographs as each system takes them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Form = Literal["multipart", "raw", "batch"]

_BOUNDARY = b"permafrost-bench"
_TOP = re.compile(rb'"predictions": ?\[\{"label": ?"((?:[^"\\]|\\.)*)"')
_ENDED = re.compile(rb'"progress": ?\{([^}]*)\}')
_OPEN = re.compile(rb'"status": ?"(?:queued|running)"')


@dataclass(frozen=True)
class Reading:
    """The request that reads a job that was submitted, for a path that only the answer tells."""

    request: bytes
    every_s: float | None  # between two of them; None: the server holds the answer, so at once

    def of(self, location: bytes) -> bytes:
        """Return the request for one job; the query stays."""
        method, target, rest = self.request.split(b" ", 2)
        query = target.partition(b"?")[2]
        return b" ".join((method, location + (b"?" + query if query else b""), rest))


@dataclass(frozen=True)
class Upload:
    """One request, ready to be sent, and what makes its answer a right one."""

    request: bytes
    images: int
    labels: frozenset[bytes]  # of which the first prediction must have one; empty: any
    reading: Reading | None = None  # of the job, where the answer does not hold the result
    key: tuple[int, int] | None = None  # where the idempotency key stands, new for each request
    head: int = 0  # bytes that are sent by themselves, as real clients do; 0: all at once

    def unfinished(self, status: int, body: bytes) -> bool:
        """Return whether an answer is a job's that has to be read (again)."""
        if self.reading is None:
            return False
        return status == 202 or (status == 200 and _OPEN.search(body) is not None)

    def wrong(self, status: int, body: bytes) -> str | None:
        """Return what is wrong with an answer, or None."""
        if status != 200:
            return f"status {status}"
        if self.images > 1:
            return _wrong_batch(body, self.images)
        top = _TOP.search(body)
        if top is None:
            return "no predictions"
        if self.labels and top[1] not in self.labels:
            return f"wrong label {top[1].decode(errors='replace')}"
        return None


def one_each(
    photographs: Sequence[bytes],
    labels: Sequence[frozenset[bytes]],
    *,
    path: str,
    headers: str = "",
    form: Form = "multipart",
) -> list[Upload]:
    """Return one request per photograph."""
    uploads = []
    for photograph, right in zip(photographs, labels, strict=True):
        if form == "raw":
            request = _request(path, headers, _kind(photograph), photograph)
        else:
            request = _form(path, headers, "image", [photograph])
        uploads.append(Upload(request, 1, right))
    return uploads


def many_each(
    photographs: Sequence[bytes], count: int, *, path: str, headers: str = ""
) -> list[Upload]:
    """Return requests of `count` photographs each, which begin at different ones."""
    uploads = []
    for start in range(0, len(photographs), max(1, min(count, len(photographs)) // 2)):
        chosen = [photographs[(start + n) % len(photographs)] for n in range(count)]
        uploads.append(Upload(_form(path, headers, "images", chosen), count, frozenset()))
    return uploads


def _wrong_batch(body: bytes, images: int) -> str | None:
    progress = _ENDED.search(body)
    found = re.search(rb'"succeeded": ?(\d+)', progress[1]) if progress else None
    if found is None:
        return "no progress"
    return None if int(found[1]) == images else f"{int(found[1])} of {images} images"


def _form(path: str, headers: str, name: str, photographs: Sequence[bytes]) -> bytes:
    body = bytearray()
    for number, photograph in enumerate(photographs):
        head = f'form-data; name="{name}"; filename="{number:03}.{_suffix(photograph)}"'
        kind = _kind(photograph)
        body += b"--" + _BOUNDARY + f"\r\nContent-Disposition: {head}\r\n".encode()
        body += f"Content-Type: {kind}\r\n\r\n".encode() + photograph + b"\r\n"
    body += b"--" + _BOUNDARY + b"--\r\n"
    kind = f"multipart/form-data; boundary={_BOUNDARY.decode()}"
    return _request(path, headers, kind, bytes(body))


def _request(path: str, headers: str, kind: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _kind(photograph: bytes) -> str:
    return "image/png" if photograph.startswith(b"\x89PNG") else "image/jpeg"


def _suffix(photograph: bytes) -> str:
    return "png" if photograph.startswith(b"\x89PNG") else "jpg"
