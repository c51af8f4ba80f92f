"""What both clients know of their server: its URL, key, timeouts and proxies."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from api.client import DEFAULT_SERVER
from api.client.address import server_url
from api.client.key_files import api_key as known_api_key
from worker.credentials.api_key import is_secret
from worker.errors import InvalidRequestError
from worker.loopback import is_loopback
from worker.version import VERSION

H = TypeVar("H")

_CONNECT_S = 5.0  # longest wait for a connection


class Connection:
    """One server. `server`, `api_key`, `timeout_s`, `retry_for_s`, `on_retry`: see the clients."""

    def __init__(
        self,
        server: str | None,
        *,
        api_key: str | None,
        timeout_s: float,
        retry_for_s: float,
        on_retry: Callable[[str], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        usual = os.environ.get("PERMAFROST_URL") or DEFAULT_SERVER
        self.server = server_url(usual if server is None else server)
        self.retry_for_s = retry_for_s
        self.on_retry = on_retry or (lambda _: None)
        self.clock = clock
        self.answered = threading.Event()  # whether a server answered ever
        self._timeout_s = timeout_s
        self._authorization = _authorization(
            known_api_key(self.server) if api_key is None else api_key
        )
        self._url = httpx.URL(self.server)
        self.is_local = is_loopback(
            self._url.host
        )  # whether the server seems to be on this machine

    def http_options(self) -> dict[str, Any]:
        """Return what httpx's clients are made with."""
        return {
            "base_url": self._url,
            "headers": {
                "User-Agent": f"permafrost-client/{VERSION}",
                "Accept": "application/json",
                **self._authorization,
            },
            "limits": httpx.Limits(max_connections=64, max_keepalive_connections=32),
            "trust_env": not self.is_local,  # no proxy stands between a machine and itself
            # Reading the authorities' certificates takes 30 ms.
            "verify": self._url.scheme == "https",
        }

    def timeout(self, wait_s: float = 0) -> httpx.Timeout:
        """Return httpx's limits for a request whose answer the server may hold for a while."""
        return httpx.Timeout(
            self._timeout_s,
            connect=min(_CONNECT_S, self._timeout_s),
            read=self._timeout_s + wait_s,
            pool=None,
        )


def made(http: Callable[..., H], connection: Connection, transport: Any) -> H:
    """Make one of httpx's clients; raise `InvalidRequestError` where the environment forbids it."""
    try:
        return http(**connection.http_options(), transport=transport)
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise InvalidRequestError(
            "What the environment says of proxies (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY) "
            f"or of certificates (SSL_CERT_FILE, SSL_CERT_DIR) cannot be used: {error}"
        ) from error


def _authorization(secret: str) -> dict[str, str]:
    secret = secret.strip()
    if not secret:
        return {}
    if not is_secret(secret):
        raise InvalidRequestError(
            "The API key (PERMAFROST_API_KEY, or of a file) is none: it was cut or mistyped. Keys "
            "begin with pf_ and have 52 signs."
        )
    return {"Authorization": f"Bearer {secret}"}
