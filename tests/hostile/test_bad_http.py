"""Requests that are not HTTP, or HTTP that no client sends: each gets a 4xx in our own form."""

import http.client
import json
import re
import socket
from collections.abc import Iterator

import pytest

from tests.support.gunicorn import HOST, Api

GET = b"GET /healthz HTTP/1.1\r\n"
OURS = b"Host: localhost\r\n"
POST = b"POST /v1/predictions HTTP/1.1\r\n" + OURS + b"Content-Type: image/png\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REQUESTS = {
    # the first line
    "no request": b"hello\r\n\r\n",
    "two words": b"GET /healthz\r\n\r\n",
    "a method with a control character": b"G\x01T /healthz HTTP/1.1\r\n" + OURS + b"\r\n",
    "a method in lower case": b"get /healthz HTTP/1.1\r\n" + OURS + b"\r\n",
    "a method too long": b"G" * 40 + b" /healthz HTTP/1.1\r\n" + OURS + b"\r\n",
    "HTTP/0.9": b"GET /healthz HTTP/0.9\r\n" + OURS + b"\r\n",
    "HTTP/2.0": b"GET /healthz HTTP/2.0\r\n" + OURS + b"\r\n",
    "HTTP/1.1x": b"GET /healthz HTTP/1.1x\r\n" + OURS + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "NUL in the path": b"GET /health\x00z HTTP/1.1\r\n" + OURS + b"\r\n",
    "a path that is not ASCII": b"GET /\xff HTTP/1.1\r\n" + OURS + b"\r\n",
    "a path too long": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + OURS + b"\r\n",
    "no path": b"GET  HTTP/1.1\r\n" + OURS + b"\r\n",
    "another scheme's address": b"GET http://[ HTTP/1.1\r\n" + OURS + b"\r\n",
    "lines that end with LF": b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "one line that ends with LF": GET + b"Host: localhost\nX: y\r\n\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\n" + OURS + b"\r\n",
    # headers
    "no Host": GET + b"\r\n",
    "an empty Host": GET + b"Host:\r\n\r\n",
    "two Hosts": GET + OURS + OURS + b"\r\n",
    "another Host": GET + b"Host: evil.test\r\n\r\n",
    "a Host with a space": GET + b"Host: local host\r\n\r\n",
    "a Host with a user": GET + b"Host: a@localhost\r\n\r\n",
    "a target with another Host": b"GET http://evil.test/healthz HTTP/1.1\r\n" + OURS + b"\r\n",
    "HTTP/1.0 with another Host": b"GET /healthz HTTP/1.0\r\nHost: evil.test\r\n\r\n",
    "NUL in a header": GET + OURS + b"X: a\x00b\r\n\r\n",
    "CR in a header": GET + OURS + b"X: a\rb\r\n\r\n",
    "NUL in a header's name": GET + OURS + b"X\x00: a\r\n\r\n",
    "a space before the colon": GET + OURS + b"X : a\r\n\r\n",
    "no colon": GET + OURS + b"X\r\n\r\n",
    "a header over two lines": GET + OURS + b"X: a\r\n b\r\n\r\n",
    "a header of 9 kB": GET + OURS + b"X: " + b"a" * 9000 + b"\r\n\r\n",
    "headers of 65 kB": GET + OURS + b"X: %b\r\n" % (b"a" * 6500) * 11 + b"\r\n",
    "a head of 65 kB that does not end": GET + OURS + b"X: " + b"a" * 70_000,
    "200 headers": GET + OURS + b"X: a\r\n" * 200 + b"\r\n",
    "another expectation": POST + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\na",
    # the length of the body
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "two lengths in one": POST + b"Content-Length: 1, 1\r\n\r\na",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": POST + b"Content-Length: +1\r\n\r\na",
    "a hexadecimal length": POST + b"Content-Length: 0x1\r\n\r\na",
    "a length in other digits": POST + b"Content-Length: \xb2\r\n\r\n",
    "an endless length": POST + b"Content-Length: %b\r\n\r\n" % (b"9" * 5000),
    "a length past all limits": POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked first": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip alone": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    # chunks
    "a chunk of -5 bytes": CHUNKED + b"-5\r\nabcde\r\n0\r\n\r\n",
    "a chunk of +5 bytes": CHUNKED + b"+5\r\nabcde\r\n0\r\n\r\n",
    "a chunk of 0x5 bytes": CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n",
    "a chunk of nothing": CHUNKED + b"\r\nabcde\r\n0\r\n\r\n",
    "a chunk of g bytes": CHUNKED + b"g\r\nabcde\r\n0\r\n\r\n",
    "a chunk of 1_0 bytes": CHUNKED + b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "a chunk that is longer": CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n",
    "a size that does not end": CHUNKED + b"1" * 20_000,
    "an extension with CR": CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "a size that ends with LF": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "a trailer without colon": CHUNKED + b"3\r\nabc\r\n0\r\nX\r\n\r\n",
    "a trailer that is a length": CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
    "a trailer that ends with LF": CHUNKED + b"3\r\nabc\r\n0\r\nX: y\n\r\n\r\n",
    "trailers that do not end": CHUNKED + b"0\r\n" + b"X: %b\r\n" % (b"y" * 7000) * 150,
}
HOSTS = re.compile(rb"evil|Host: local host|a@localhost")
PATHS = [
    *(b"/%", b"/%g0", b"/v1/jobs/%00", b"/v1/jobs/%ff%fe", b"/v1/jobs/..%2f..%2fetc%2fpasswd"),
    *(b"/v1/models/%0d%0aX:%20y", b"/..;/", b"//evil.test/%2e%2e", b"/v1/models/..%5c..%5cx"),
    *(b"/static/..%2f..%2fviews.py", b"/static/%2e%2e/%2e%2e/x", b"/v1/jobs/" + b"%20" * 2000),
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    running = Api(tmp_path_factory.mktemp("bad") / "data")
    yield running
    running.remove()


def ask(api: Api, request: bytes, *, ends: bool = False) -> tuple[int, dict[str, str], bytes]:
    """Send a request and return its answer; with `ends`, once the connection is closed behind."""
    with socket.create_connection((HOST, api.ports[0]), timeout=20) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection, method="GET")
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        body = response.read()
        if ends:
            assert headers["connection"] == "close"
            connection.settimeout(10)
            assert connection.recv(1) == b""
    return response.status, headers, body


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_what_is_not_http_is_refused_in_our_own_form(api: Api, request_: bytes) -> None:
    # refused by the application, which may keep the connection
    ours = HOSTS.search(request_) or request_.count(b"Host: localhost") != 1
    status, headers, body = ask(api, request_, ends=not ours)
    assert 400 <= status < 500, (status, body)
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["code"]
    assert problem["detail"].endswith(".")
    assert b"Traceback" not in body
    assert b"gunicorn" not in body.lower()
    assert ask(api, GET + OURS + b"\r\n")[0] == 200


@pytest.mark.parametrize("path", PATHS)
def test_odd_paths_are_found_nowhere(api: Api, path: bytes) -> None:
    status, headers, body = ask(api, b"GET " + path + b" HTTP/1.1\r\n" + OURS + b"\r\n")
    assert 400 <= status < 500, (status, body)
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"]


@pytest.mark.parametrize(
    "path",
    [
        *(b"/v1/models", b"/v1/jobs", b"/v1/jobs/none", b"/v1/nothing", b"/healthz", b"/"),
        *(b"/openapi.json", b"/static/permafrost.css", b"/v1/models/cats-dogs/versions/1/graph"),
    ],
)
def test_every_answer_says_what_browsers_may_do_with_it(api: Api, path: bytes) -> None:
    for accept in (b"*/*", b"text/html"):
        request = b"GET " + path + b" HTTP/1.1\r\n" + OURS + b"Accept: " + accept + b"\r\n\r\n"
        _, headers, _ = ask(api, request)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in headers if name.startswith("access-control-")]
        expected = "no-store"
        if headers["content-type"].startswith("text/html") or path.endswith(b"/graph"):
            expected = "private, no-cache"
        elif path.startswith(b"/static/"):
            expected = "no-cache"
        assert headers["cache-control"] == expected
