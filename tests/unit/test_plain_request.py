"""Which requests are read the short way, what is read of them, and that all others are left."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

from api.plain_request import Ask, plain_request

IMAGE = b"\xff\xd8\xff\xe0" + bytes(range(256)) + b"\r\n--almost\r\n\r\n"
MOST = 10_000


def head(
    *lines: str, line: str = "POST /v1/predictions HTTP/1.1", length: int = len(IMAGE)
) -> bytes:
    rows = [line, "Host: h", *lines, f"Content-Length: {length}", "", ""]
    return "\r\n".join(rows).encode("latin-1")


def body(*lines: str, **more: Any) -> bytes:
    return head("Prefer: wait=5", *lines, **more) + IMAGE


def part(disposition: str, content: bytes, *others: str) -> bytes:
    rows = [f"Content-Disposition: form-data; {disposition}", *others, "", ""]
    return b"--b0\r\n" + "\r\n".join(rows).encode() + content + b"\r\n"


PHOTO = part('name="image"; filename="a b.jpg"', IMAGE, "Content-Type: image/jpeg")
END = b"--b0--\r\n"


def form(*parts: bytes, kind: str = "multipart/form-data; boundary=b0") -> bytes:
    content = b"".join(parts)
    return head("Prefer: wait=5", f"Content-Type: {kind}", length=len(content)) + content


@pytest.mark.parametrize(
    ("received", "model", "top"),
    [
        (body(), None, None),
        (body("Content-Type: image/jpeg"), None, None),
        (body("content-type: application/x-www-form-urlencoded"), None, None),
        (body("Connection: Keep-Alive", "Accept: */*", "User-Agent: x/1"), None, None),
        (body(line="POST /v1/predictions?model=a-b%401&top=3 HTTP/1.1"), "a-b@1", "3"),
        (body(line="POST /v1/predictions?model= HTTP/1.1"), "", None),
        (form(PHOTO, END), None, None),
        (form(PHOTO, END, kind='multipart/form-data; boundary="b0"'), None, None),
        (form(PHOTO, b"--b0--"), None, None),
        (
            form(part('name="model"', b"m@canary"), PHOTO, part('name="top"', b"1"), END),
            "m@canary",
            "1",
        ),
    ],
)
def test_a_plain_request_is_read(received: bytes, model: str | None, top: str | None) -> None:
    assert plain_request(bytearray(received), MOST) == Ask("h", IMAGE, model, top, 5.0)


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"POST",
        head() + IMAGE,  # not waited for
        head("Prefer: wait=0") + IMAGE,
        head("Prefer: respond-async") + IMAGE,
        body()[:-1],
        body() + b"x",
        body(length=0)[: -len(IMAGE)],
        body(length=len(IMAGE) - 1),
        body(line="POST /v1/predictions HTTP/1.0"),
        body(line="GET /v1/predictions HTTP/1.1"),
        body(line="POST /v1/predictions/ HTTP/1.1"),
        body(line="POST /v1/batches HTTP/1.1"),
        body(line="POST http://h/v1/predictions HTTP/1.1"),
        body(line="POST /v1/predictions?wait=3 HTTP/1.1"),
        body(line="POST /v1/predictions?model=a&model=b HTTP/1.1"),
        body("Idempotency-Key: k"),
        body("Cookie: permafrost_session=t"),
        body("Cookie: a=b"),
        body("Origin: http://elsewhere"),
        body("X-Forwarded-For: 1.2.3.4"),
        body("Transfer-Encoding: chunked"),
        body("Content-Encoding: gzip"),
        body("Expect: 100-continue"),
        body("Upgrade: h2c"),
        body("Connection: close"),
        body("Prefer: wait=9"),
        body("Host: another"),
        body(f"Content-Length: {len(IMAGE)}"),
        body(" folded: x"),
        body("Accept : */*"),
        body("Accept: caf\xe9"),
        body("Accept: " + "x" * 5000),
        head("Prefer: wait=5", length=2) + b"no",  # no image
        form(PHOTO, PHOTO, END),
        form(END),
        form(PHOTO),
        form(PHOTO, END, b"more"),
        form(b"before\r\n", PHOTO, END),
        form(PHOTO, END, kind="multipart/form-data"),
        form(PHOTO, END, kind="multipart/form-data; boundary=b0; charset=utf-8"),
        form(PHOTO, END, kind="multipart/mixed; boundary=b0"),
        form(part('name="image"', IMAGE), END),
        form(part('filename="a.jpg"; name="image"', IMAGE), END),
        form(part('name="image"; filename="a\\".jpg"', IMAGE), END),
        form(
            part('name="image"; filename="a.jpg"', IMAGE, "Content-Transfer-Encoding: base64"), END
        ),
        form(PHOTO, part('name="wait"', b"3"), END),
        form(PHOTO, part('name="top"', b"3"), part('name="top"', b"4"), END),
        form(PHOTO, part('name="model"', b"m", "Content-Type: text/plain; charset=utf-16"), END),
        form(PHOTO, part('name="model"', "ä".encode()), END),
        form(PHOTO, part('name="model"', b"m" * 300), END),
    ],
)
def test_all_else_is_left_to_the_long_way(received: bytes) -> None:
    assert plain_request(bytearray(received), MOST) is None


def test_an_image_that_is_too_large_is_left_to_the_long_way() -> None:
    assert plain_request(bytearray(body()), len(IMAGE)) is not None
    assert plain_request(bytearray(body()), len(IMAGE) - 1) is None


@pytest.mark.parametrize("received", [body(), form(PHOTO, part('name="top"', b"2"), END)])
def test_no_byte_that_is_changed_makes_the_two_ways_read_different_things(received: bytes) -> None:
    read = _reader()
    end = received.index(b"\r\n\r\n") + 4
    for place in range(len(received)):
        for byte in b'\x00\r\n -;:="%bZ\xff':
            changed = bytearray(received)
            changed[place] = byte
            ask = plain_request(changed, MOST)
            if ask is not None and place >= end:  # heads are gunicorn's to read
                assert read(bytes(changed), end) == (ask.image, ask.model, ask.top)


def _reader() -> Callable[[bytes, int], tuple[bytes, str | None, str | None]]:
    """Return how Flask reads the body of a request."""
    app = Flask(__name__)

    @app.post("/v1/predictions")
    def read() -> Response:
        found.clear()
        if request.mimetype == "multipart/form-data":
            (file,) = request.files.getlist("image")
            found.append((file.read(), request.form.get("model"), request.form.get("top")))
        else:
            found.append((request.get_data(), None, None))
        return Response("")

    found: list[tuple[bytes, str | None, str | None]] = []

    def run(received: bytes, end: int) -> tuple[bytes, str | None, str | None]:
        rows = received[: end - 4].decode("latin-1").split("\r\n")[1:]
        headers = {name.lower(): value for name, value in (row.split(": ", 1) for row in rows)}
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/v1/predictions",
            "SERVER_NAME": "h",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "QUERY_STRING": "",
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": headers["content-length"],
            "wsgi.input": io.BytesIO(received[end:]),
            "wsgi.errors": io.StringIO(),
        }
        _, status, _ = run_wsgi_app(app, environ)
        assert status.startswith("200"), status
        return found[0]

    return run
