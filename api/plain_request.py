"""Reads those `POST /v1/predictions` in which nothing is unusual.

Nearly all predictions come as one of two requests: the image as the body, or a form with one file.
They can be read in a few microseconds. Everything else (another header than those listed here, a
repeated one, a body that is coded, a form with anything more, a value that is wrong) is None here
and goes the long way through Flask, which reads all that HTTP allows and answers what is wrong.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from api.answers import wait_of
from worker.images.kinds import sniff

# A header that is not here may mean something: a cookie, another encoding, a proxy.
_KNOWN = frozenset(
    (
        *(b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language"),
        *(b"content-type", b"content-length", b"prefer", b"connection"),
        b"authorization",
    )
)
_FIELDS = frozenset({"model", "top"})
_LONGEST_HEAD = 4096  # bytes

_LINE = re.compile(rb"POST /v1/predictions(?:\?([\x21-\x7e]{1,400}))? HTTP/1\.1")
_LENGTH = re.compile(r"[1-9][0-9]{0,9}")
_HEADER = re.compile(rb"([A-Za-z-]{1,30}):[ \t]*([\x20-\x7e]{0,1000})")
_FORM = re.compile(
    r'multipart/form-data; ?boundary=(?:"([\w.+-]{1,70})"|([\w.+-]{1,70}))', re.IGNORECASE
)
_DISPOSITION = re.compile(
    r'content-disposition: ?form-data; ?name="([a-z]{1,20})"(; ?filename="[^"\\\x00-\x1f]*")?',
    re.IGNORECASE,
)
_VALUE = re.compile(rb"[\x00-\x7f]{0,200}")  # of a field
_KIND = re.compile(r"content-type: ?[\x20-\x7e]*", re.IGNORECASE)


class Ask(NamedTuple):
    """What such a request asks for."""

    host: str
    image: bytes
    model: str | None
    top: str | None
    wait_s: float  # more than 0: it is held until the job ends
    authorization: str = ""  # the header


class _Head(NamedTuple):
    host: str
    length: int  # of the body, in bytes
    boundary: bytes  # of the form; empty where the body is the image
    fields: dict[str, str]  # of the query
    wait_s: float
    authorization: str = ""


def plain_request(received: bytes | bytearray, most_bytes: int) -> Ask | None:
    """Return what a whole request asks for, or None where it is not one of these.

    `most_bytes`: of the image.
    """
    end = received.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
    if end < 0:
        return None
    head = _head(bytes(received[:end]))
    if head is None or len(received) != end + 4 + head.length:
        return None
    body = bytes(memoryview(received)[end + 4 :])
    image, fields = body, head.fields
    if head.boundary:
        form = _form(body, head.boundary)
        if form is None:
            return None
        image, fields = form[0], {**fields, **form[1]}
    if not image or len(image) > most_bytes or sniff(image[:16]) is None:
        return None
    return Ask(
        head.host, image, fields.get("model"), fields.get("top"), head.wait_s, head.authorization
    )


@lru_cache(maxsize=256)  # a client's requests differ in little but their length
def _head(head: bytes) -> _Head | None:
    line, *rows = head.split(b"\r\n")
    asked, headers = _LINE.fullmatch(line), _headers(rows)
    if not asked or headers is None or b"host" not in headers:
        return None
    length, kind = headers.get(b"content-length", ""), headers.get(b"content-type", "")
    form = _FORM.fullmatch(kind)
    wait = wait_of(headers.get(b"prefer", ""))
    fields = _query((asked[1] or b"").decode("ascii"))
    if not _LENGTH.fullmatch(length) or ("multipart" in kind.lower() and not form):
        return None
    if headers.get(b"connection", "keep-alive").lower() != "keep-alive":
        return None
    if not wait or fields is None:
        return None
    boundary = (form[1] or form[2]) if form else ""
    authorization = headers.get(b"authorization", "")
    return _Head(
        headers[b"host"], int(length), boundary.encode("ascii"), fields, wait, authorization
    )


def _headers(rows: list[bytes]) -> dict[bytes, str] | None:
    headers: dict[bytes, str] = {}
    for row in rows:
        found = _HEADER.fullmatch(row)
        if not found:
            return None
        name = found[1].lower()
        if name not in _KNOWN or name in headers:
            return None
        headers[name] = found[2].decode("ascii").strip(" \t")
    return headers


def _query(text: str) -> dict[str, str] | None:
    pairs = parse_qsl(text, keep_blank_values=True)
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) and fields.keys() <= _FIELDS else None


def _form(body: bytes, boundary: bytes) -> tuple[bytes, dict[str, str]] | None:
    """Return the one file `image` of a form and its fields; format: RFC 7578."""
    images: list[bytes] = []
    fields: dict[str, str] = {}
    for part in _parts(body, b"--" + boundary):
        head, blank, content = part.partition(b"\r\n\r\n")
        found = _part(head[2:]) if blank and head.startswith(b"\r\n") else None
        if found is None:
            return None
        name, is_file = found
        if is_file and name == "image":
            images.append(content)
        elif is_file or name not in _FIELDS or name in fields or not _VALUE.fullmatch(content):
            return None
        else:
            fields[name] = content.decode("ascii")
    return (images[0], fields) if len(images) == 1 else None


def _parts(body: bytes, delimiter: bytes) -> list[bytes]:
    """Return what lies between a form's delimiters; nothing where it is not as it should be."""
    before, *parts = b"\r\n".join((b"", body)).split(b"\r\n" + delimiter)
    # A delimiter elsewhere than behind CRLF is one to some readers and none to others.
    if before or not parts or len(parts) != body.count(delimiter):
        return []
    return parts if parts.pop() in (b"--", b"--\r\n") else []


@lru_cache(maxsize=256)
def _part(head: bytes) -> tuple[str, bool] | None:
    """Return the name of a form's part and whether it is a file."""
    try:
        disposition, *others = head.decode().split("\r\n")
    except UnicodeDecodeError:
        return None
    found = _DISPOSITION.fullmatch(disposition)
    if not found or not all(_KIND.fullmatch(row) for row in others):
        return None
    if others and not found[2]:  # a field in a character set of its own
        return None
    return found[1], found[2] is not None
