"""A request gets a thread once it is there: where it ends, and where it is kept until then."""

import pytest

from api.incoming import SMALL, Incoming

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def fed(received: bytes, step: int = 1 << 30) -> Incoming:
    incoming = Incoming()
    for place in range(0, len(received), step):
        if not incoming.whole:
            incoming.feed(received[place : place + step])
    return incoming


@pytest.mark.parametrize("step", [1 << 30, 64 * 1024, 997])
@pytest.mark.parametrize(
    ("received", "whole"),
    [
        (b"", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", True),
        (b"GET / HTTP/1.1\nHost: h\n\n", True),  # gunicorn refuses it
        (HEAD + b"Content-Length: 3\r\n\r\nab", False),
        (HEAD + b"content-length:3\r\n\r\nabc", True),
        (HEAD + b"Content-Length: 0\r\n\r\n", True),
        (HEAD + b"X: content-length: 9\r\n\r\n", True),
        (HEAD + b"Content-Length: 900000\r\n\r\n" + b"x" * 899_999, False),
        (HEAD + b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000, True),
        (HEAD + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", False),
        (CHUNKED + b"3\r\nabc\r\n", False),
        (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", True),
        (CHUNKED + b"3;x=y\r\nabc\r\n0;z\r\nA: b\r\n\r\n", True),
        (CHUNKED + b"0\r\nA: 0\r\n", False),
        (CHUNKED + b"5\r\n0\r\n\r\n\r\n", False),  # that end is the chunk's content
        (CHUNKED + b"%x\r\n" % 300_000 + b"x" * 300_000 + b"\r\n", False),
        (CHUNKED + b"%x\r\n" % 300_000 + b"x" * 300_000 + b"\r\n0\r\n\r\n", True),
        (CHUNKED + b"-5\r\n", True),  # and from here on, gunicorn refuses what it is given
        (CHUNKED + b"3\r\nabcdef\r\n", True),
        (CHUNKED + b"1" * 20_000, True),
        (CHUNKED + b"1\r\nx\r\n" * 4_000, False),
        (CHUNKED + b"1\r\nx\r\n" * 6_000, True),
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n", True),
        (HEAD + b"X: " + b"x" * 100_000, True),
    ],
)
def test_the_end_of_a_request_is_found_in_whatever_pieces_it_comes(
    received: bytes, whole: bool, step: int
) -> None:
    incoming = fed(received, step)
    assert incoming.whole is whole
    incoming.release()


@pytest.mark.parametrize("size", [3, SMALL, SMALL + 1, 2_000_000])
@pytest.mark.parametrize("step", [1 << 30, 65536, 1009])
def test_a_request_is_read_again_as_it_came_and_what_follows_is_the_next_one(
    size: int, step: int
) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    request = HEAD + b"Content-Length: %d\r\n\r\n" % size + body
    next_ = b"GET /next HTTP/1.1\r\n\r\n"
    incoming = Incoming()
    for place in range(0, len(request), step):
        last = place + step >= len(request)
        incoming.feed(request[place : place + step] + (next_ if last else b""))
    assert incoming.whole
    assert incoming.rest == next_
    assert incoming.on_disk == (size if size > SMALL else 0)
    unreader = incoming.unreader(None)
    assert unreader.read(len(request)) == request
    assert unreader.is_used_up()
    assert unreader.read() == b""
    incoming.release()


def test_time_is_given_for_what_has_come() -> None:
    incoming = fed(HEAD + b"Content-Length: 4096000\r\n\r\n" + b"x" * 409_600)
    began = incoming._began  # when it is counted from
    assert not incoming.is_late(began + 159)
    assert incoming.is_late(began + 161)
    incoming.release()
