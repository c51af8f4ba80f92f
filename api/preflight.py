"""Asking whether a request would be refused before the whole of its large body is read.

The application is called with the head alone and says so by `PREFLIGHT` in its environment; what it
answers is sent, unless it is 204: then the body is read, up to the bytes that `MOST` names.
"""

import io
from typing import Any, Final

from flask import Flask
from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import create

from api.bad_http import raw_answer, refusal

PREFLIGHT: Final = "permafrost.preflight"
MOST: Final = "Permafrost-Most-Bytes"


class Preflight:
    """Asks one application."""

    def __init__(self, application: Flask, cfg: Any) -> None:
        self._application = application
        self._cfg = cfg

    def ask(self, head: bytes, client: Any, server: Any) -> tuple[bytes, int]:
        """Return the answer to a request that is refused; else nothing, and how much it may bring.

        Runs in a thread.
        """
        try:
            request = Request(self._cfg, IterUnreader([head]), client)
        except ParseException as error:
            return raw_answer(refusal(error)), 0
        request._expected_100_continue = False
        _, environ = create(request, None, client, server, self._cfg)
        environ |= {PREFLIGHT: True, "wsgi.input": io.BytesIO(), "wsgi.multithread": True}
        status, headers, body = self._call(environ)
        if status.startswith("204"):
            return b"", int(dict(headers).get(MOST, 0))
        headers = [pair for pair in headers if pair[0].lower() != "connection"]
        rows = "".join(f"{name}: {value}\r\n" for name, value in headers)
        start = f"HTTP/1.1 {status}\r\nConnection: close\r\n{rows}\r\n"
        return start.encode("latin-1") + (b"" if request.method == "HEAD" else body), 0

    def _call(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            started[:] = status, headers
            return lambda _: None

        answer = self._application.wsgi_app(environ, start_response)
        try:
            body = b"".join(answer)
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()
        return started[0], started[1], body
