"""A request gets a thread once it has arrived."""

import pytest

from api.patience import has_arrived

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"


@pytest.mark.parametrize(
    ("received", "arrived"),
    [
        (b"", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /another", True),
        (HEAD + b"Content-Length: 3\r\n\r\nab", False),
        (HEAD + b"content-length:3\r\n\r\nabc", True),
        (HEAD + b"Content-Length: 0\r\n\r\n", True),
        (HEAD + b"X: content-length: 9\r\n\r\n", True),
        (HEAD + b"Content-Length: 900000000\r\n\r\n" + b"x" * 1000, False),
        (HEAD + b"Content-Length: 900000000\r\n\r\n" + b"x" * 300_000, True),
        (HEAD + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"x" * 300_000, True),
        (HEAD + b"X: " + b"x" * 100_000, True),  # gunicorn refuses it
    ],
)
def test_enough_is_the_head_and_a_body_that_is_whole_or_well_begun(
    received: bytes, arrived: bool
) -> None:
    assert has_arrived(received) is arrived
