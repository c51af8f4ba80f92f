"""One attempt to send a webhook: one connection, one request, and the start of the answer.

Made with httpcore, httpx's lower half: it follows no redirects, reads no proxies from the
environment, keeps no cookies and unpacks nothing, and lets us make the connection. The addresses of
the receiver are asked for here, once, and checked; the connection is made to one of those very
addresses, while the certificate is checked against the name. So a name that is answered differently
the next time changes nothing.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import certifi
import httpcore

from worker.errors import WebhookError
from worker.formatting import binary_size
from worker.webhooks.public_addresses import Address
from worker.webhooks.targets import AllowedHosts, Target, check_addresses

_MOST_READ = 64 * 1024  # bytes of an answer, its headers and all that comes before them included
_BODY_READ = 4096  # bytes of its body, which is ignored; a small body is read to its end
_MOST_ADDRESSES = 4  # of one host, that are tried
_LONGEST_PAUSE_S = 24 * 3600.0  # that a receiver may ask for


class Attempt(NamedTuple):
    """What became of an attempt."""

    delivered: bool
    error: str = ""
    hopeless: bool = False  # another attempt would not help
    pause_s: float = 0.0  # that the receiver asks for


class Sender:
    """Makes attempts; one may be shared by all of a process."""

    def __init__(self, allowed: AllowedHosts, timeout_s: float, resolvers: Executor) -> None:
        """Take threads in which addresses are asked for: that cannot be interrupted."""
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._resolvers = resolvers
        self._trusted = _trusted()

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Attempt:
        """Send one webhook. Raises nothing but what cancels it."""
        try:
            target = Target.parse(url, self._allowed)
            async with asyncio.timeout(self._timeout_s):
                return await self._send(target, headers, body)
        except WebhookError as error:
            return Attempt(False, error.message.removeprefix("webhook: "), hopeless=True)
        except TimeoutError:
            failure = f"The receiver did not answer within {self._timeout_s:g} s."
        except _UnresolvedError:
            failure = "The name of the receiver could not be resolved."
        except (httpcore.NetworkError, httpcore.TimeoutException, OSError) as error:
            failure = _network_error(error)
        except httpcore.ProtocolError:
            failure = "The receiver closed the connection or did not answer as HTTP says."
        return Attempt(False, failure)

    async def _send(self, target: Target, headers: dict[str, str], body: bytes) -> Attempt:
        backend = _CheckedBackend(target, self._allowed, self._resolvers)
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self._trusted,
                network_backend=backend,
                max_connections=1,
                max_keepalive_connections=0,
            ) as pool,
            pool.stream(
                "POST",
                httpcore.URL(
                    scheme=target.scheme.encode(),
                    host=target.host.encode(),
                    port=target.port,
                    target=target.path.encode(),
                ),
                headers=[
                    ("host", target.authority),
                    ("user-agent", "Permafrost"),
                    ("content-type", "application/json"),
                    ("content-length", str(len(body))),
                    ("accept", "*/*"),
                    ("accept-encoding", "identity"),
                    ("connection", "close"),
                    *headers.items(),
                ],
                content=body,
            ) as response,
        ):
            attempt = _judged(response.status, response.headers)
            await _read_a_little(response)
            return attempt


async def _read_a_little(response: httpcore.Response) -> None:
    """Let a receiver finish a small answer; what it does after its status changes nothing."""
    read = 0
    try:
        async with asyncio.timeout(1.0):
            async for chunk in response.aiter_stream():
                read += len(chunk)
                if read > _BODY_READ:
                    return
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError):
        return


def _judged(status: int, headers: Iterable[tuple[bytes, bytes]]) -> Attempt:
    if 200 <= status < 300:
        return Attempt(True)
    if 300 <= status < 400:
        return Attempt(
            False, f"The receiver answered with a redirect ({status}), which is not followed."
        )
    error = f"The receiver answered {status}."
    if status == 410:  # as Standard Webhooks has it: it wants no more
        return Attempt(False, error, hopeless=True)
    asked = next((v for n, v in headers if n.lower() == b"retry-after"), b"")
    pause_s = _seconds(asked.decode("latin-1")) if status in (429, 502, 503, 504) else 0.0
    return Attempt(False, error, pause_s=pause_s)


def _seconds(retry_after: str) -> float:
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_PAUSE_S)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, until - time.time()), _LONGEST_PAUSE_S)


class _UnresolvedError(Exception):
    """The name has no address, or nobody knew of one."""


class _TooMuchError(httpcore.ReadError):
    """The answer has too many bytes."""


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses of one target, and to nothing else."""

    def __init__(self, target: Target, allowed: AllowedHosts, resolvers: Executor) -> None:
        self._target = target
        self._allowed = allowed
        self._resolvers = resolvers
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        target = self._target
        if (host, port) != (target.host, target.port):
            raise httpcore.ConnectError("another host than the one that was checked")
        found = await self._addresses()
        addresses = check_addresses(target, found, self._allowed)[:_MOST_ADDRESSES]
        for n, address in enumerate(addresses):
            try:
                stream = await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if n == len(addresses) - 1:
                    raise
            else:
                return _BoundedStream(stream)
        raise _UnresolvedError

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("no webhook goes to a socket")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self) -> Sequence[Address]:
        if self._target.address is not None:
            return [self._target.address]
        loop = asyncio.get_running_loop()
        try:
            listed = self._allowed.has(self._target.host, self._target.port)
            rows = await loop.run_in_executor(
                self._resolvers, _resolve, self._target.host, self._target.port, listed
            )
        except (OSError, UnicodeError):
            raise _UnresolvedError from None
        return [ip_address(row[4][0]) for row in rows]


def _resolve(host: str, port: int, listed: bool) -> list[Any]:
    # With a dot behind it, the search domains of this machine are not tried.
    return socket.getaddrinfo(host if listed else f"{host}.", port, type=socket.SOCK_STREAM)


class _BoundedStream(httpcore.AsyncNetworkStream):
    """A stream of which no more than so much is read."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = _MOST_READ

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left <= 0:
            raise _TooMuchError
        content = await self._stream.read(min(max_bytes, self._left), timeout)
        self._left -= len(content)
        return content

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _network_error(error: BaseException) -> str:
    """Return what went wrong with a connection, as far as a stranger may know."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, _TooMuchError):
            return f"The receiver's answer has more than {binary_size(_MOST_READ)}."
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"The receiver's certificate is not valid: {seen.verify_message}."
        if isinstance(seen, ssl.SSLError):
            return "The receiver does not speak TLS as it should."
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout):
        return "The receiver could not be reached."
    return "The receiver closed the connection or did not answer as HTTP says."


def _trusted() -> ssl.SSLContext:
    """Return what certificates are checked against: the system's authorities or SSL_CERT_FILE's.

    Where the system has none, those of Mozilla that certifi carries.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not (paths.capath and any(Path(paths.capath).iterdir())):
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
