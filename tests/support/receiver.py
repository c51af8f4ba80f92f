"""A real receiver of webhooks: an HTTPS server with a certificate of its own authority."""

import contextlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import trustme

MOST_S = 30.0  # that a connection which never ends is kept


@dataclass
class Heard:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    heard: ClassVar[list[Heard]]
    released: ClassVar[threading.Event]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.heard.append(Heard(self.path, headers, body))
        with contextlib.suppress(OSError):  # the client need not stay
            getattr(self, "_" + self.path.split("/")[1].split("?")[0].split("-")[0])()

    def _status(self) -> None:
        parts = self.path.partition("?")[0].split("/")
        self.send_response(int(parts[2]))
        if len(parts) > 3:
            self.send_header("Retry-After", parts[3])
        self.send_header("Set-Cookie", "seen=1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _redirect(self) -> None:
        self.send_response(int(self.path.split("/")[2]))
        self.send_header("Location", "/status/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _silent(self) -> None:
        self.released.wait(MOST_S)

    def _drip(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(int(MOST_S * 10)):
            self.wfile.write(b"X-More: x\r\n")
            if self.released.wait(0.1):
                return

    def _flood(self) -> None:
        """Answer well, then send gigabytes."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
        self._pour(b"x" * 65536)

    def _bomb(self) -> None:
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9999999999\r\n\r\n"
        )
        self._pour(b"\x1f\x8b" * 32768)

    def _headers(self) -> None:
        """Send headers without an end."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._pour(b"X-More: " + b"x" * 8000 + b"\r\n")

    def _continue(self) -> None:
        """Announce an answer for ever."""
        self._pour(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    def _nonsense(self) -> None:
        self.wfile.write(b"\x00\xffSSH-2.0-OpenSSH\r\n\r\n")

    def _closed(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def _pour(self, piece: bytes) -> None:
        deadline = time.monotonic() + MOST_S
        while time.monotonic() < deadline and not self.released.is_set():
            self.wfile.write(piece)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is None:
            super().finish_request(request, client_address)
            return
        # Here, so that a slow handshake holds up its own thread alone.
        with (
            contextlib.suppress(OSError),
            self.context.wrap_socket(request, server_side=True) as encrypted,
        ):
            super().finish_request(encrypted, client_address)

    def handle_error(self, *_: Any) -> None:
        """Say nothing."""


class Receiver:
    """Listens on loopback until `close`; what it answers is in the path (see `_Handler`)."""

    def __init__(
        self,
        folder: Path,
        *names: str,
        address: str = "127.0.0.1",
        tls: bool = True,
        trusted: bool = True,
    ) -> None:
        self.heard: list[Heard] = []
        self._released = threading.Event()
        handler = type("Handler", (_Handler,), {"heard": self.heard, "released": self._released})
        self._server = _Server((address, 0), handler)
        self.port = int(self._server.server_address[1])
        self.authority_file = folder / "authority.pem"
        authority = trustme.CA()
        if trusted:
            authority.cert_pem.write_to_path(str(self.authority_file))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(*(names or ("127.0.0.1",))).configure_cert(context)
            self._server.context = context
        self._scheme = "https" if tls else "http"
        self._host = names[0] if names else address
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str = "/status/200") -> str:
        """Return the address of a path."""
        return f"{self._scheme}://{self._host}:{self.port}{path}"

    def on(self, path: str) -> list[Heard]:
        """Return what arrived at a path."""
        return [one for one in self.heard if one.path == path]

    def close(self) -> None:
        """Let every request go and stop."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
