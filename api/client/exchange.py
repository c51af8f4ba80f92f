"""How requests reach a server: sent again where waiting helps, and read as what they should be."""

import os
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from api.client.address import server_url
from api.client.answers import not_permafrost, refusal, worth_waiting
from api.client.errors import ConnectionLostError, ServerUnreachableError
from api.client.uploads import json_bytes
from api.client.waits import Waits
from worker.addresses import is_loopback
from worker.credentials.api_key import is_secret
from worker.errors import InvalidRequestError, PermafrostError

Json = dict[str, Any]
Params = dict[str, str | int | float]

_CONNECT_S = 5.0  # longest wait for a connection
_TOLD_FROM_S = 1.0  # shorter waits are nobody's concern
_MOST_RESETS = 5  # attempts of one request that end without an answer


class Exchange(ABC):
    """Requests to one server and its answers. Keeps connections open; safe for threads.

    `server`: the server's URL; without a scheme, http is meant.
    `api_key`: the API key to send; by default the one that PERMAFROST_API_KEY holds.
    `timeout_s`: seconds after which a silent server is given up.
    `patience_s`: seconds of waiting, summed up over the attempts of one request, that a busy
    server (429, 503) or a lost connection may cost before the request fails.
    `on_retry`: called with a sentence before each such wait of a second or more.
    `sleep`, `clock`, `transport`: for tests.

    Every request raises `ServerUnreachableError`, `NotPermafrostError`, or `ServerError` with the
    server's own code, status and sentence.
    """

    def __init__(
        self,
        server: str,
        *,
        timeout_s: float = 30.0,
        patience_s: float = 10.0,
        on_retry: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
        api_key: str | None = None,
    ) -> None:
        self.server = server_url(server)
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._on_retry = on_retry or (lambda _: None)
        self._sleep = sleep
        self._clock = clock
        self._answered = threading.Event()
        url = httpx.URL(self.server)
        self.is_local = is_loopback(url.host)  # whether the server seems to be on this machine
        self._http = httpx.Client(
            base_url=url,
            headers={
                "User-Agent": "permafrost-client",
                "Accept": "application/json",
                **_authorization(api_key),
            },
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
            transport=transport,
            trust_env=not self.is_local,  # no proxy stands between a machine and itself
            verify=url.scheme == "https",  # reading the authorities' certificates takes 30 ms
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @abstractmethod
    def job(self, job_id: str, *, wait_s: float = 0) -> Json:
        """Return a job; with `wait_s`, the server holds the answer until it ended or as long."""

    def _submit_json(self, path: str, wait_s: float, document: Json, **request: Any) -> Json:
        headers = {"Content-Type": "application/json"}
        return self._submit(path, wait_s, headers, content=json_bytes(document), **request)

    def _submit(
        self,
        path: str,
        wait_s: float,
        headers: dict[str, str] | None = None,
        *,
        key: str | None = None,
        **request: Any,
    ) -> Json:
        """Submit a job and return it; `key` is its Idempotency-Key, a new one by default."""
        headers = {**(headers or {}), "Idempotency-Key": key or uuid.uuid4().hex}
        if wait_s > 0:
            headers["Prefer"] = f"wait={whole_seconds(wait_s)}"
        return self._job(self._request("POST", path, wait_s=wait_s, headers=headers, **request))

    def _request(
        self, method: str, path: str, *, wait_s: float = 0, repeatable: bool = True, **request: Any
    ) -> httpx.Response:
        """Send until there is an answer that waiting would not change.

        A request that is not `repeatable` is not sent again once a server may have taken it.
        """
        attempts = _Attempts(self, repeatable=repeatable)
        while True:
            try:
                answer = self._http.request(method, path, timeout=self._timeout(wait_s), **request)
            except httpx.TransportError as error:
                attempts.lost(error)
            else:
                self._answered.set()
                if answer.is_success:
                    return answer
                attempts.refused(answer)

    def _lines(self, path: str, params: Params) -> Iterator[bytes]:
        r"""Give an answer's lines as they come, without their `\n`; after a loss, go on behind.

        The lines must be the same ones in the same order at every reading.
        """
        attempts, given = _Attempts(self, repeatable=True), 0
        while True:
            try:
                with self._http.stream(
                    "GET", path, timeout=self._timeout(0), params=params
                ) as answer:
                    self._answered.set()
                    if answer.is_success:
                        for number, line in enumerate(_split(answer.iter_bytes())):
                            if number >= given:
                                given += 1
                                yield line
                        return
                    answer.read()
                attempts.refused(answer)
            except httpx.TransportError as error:
                attempts.lost(error)

    def _timeout(self, wait_s: float) -> httpx.Timeout:
        return httpx.Timeout(
            self._timeout_s,
            connect=min(_CONNECT_S, self._timeout_s),
            read=self._timeout_s + wait_s,
            pool=None,
        )

    def _job(self, answer: httpx.Response) -> Json:
        job = self._document(answer, "id")
        return job if "status" in job else self.job(str(job["id"]))

    def _document(self, answer: httpx.Response, key: str) -> Json:
        """Return the answer's JSON object, which must hold `key`."""
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict) or key not in document:
            raise not_permafrost(answer, self.server)
        return document


class _Attempts:
    """The attempts of one request: waits before the next one, or raises why there is none."""

    def __init__(self, exchange: Exchange, *, repeatable: bool) -> None:
        self._exchange = exchange
        self._repeatable = repeatable
        self._waits = Waits(exchange._patience_s)
        self._resets = 0

    def lost(self, error: httpx.TransportError) -> None:
        """Wait after an attempt that got no answer."""
        self._resets += 1
        failure = _failure(error, self._exchange.server)
        pause = self._waits.next(None) if self._may_come_back(error) else None
        if pause is None:
            raise failure from error
        self._wait(failure, pause)

    def refused(self, answer: httpx.Response) -> None:
        """Wait after an answer that is no success."""
        failure = refusal(answer, self._exchange.server)
        pause = self._waits.next(failure.retry_after) if worth_waiting(answer) else None
        if pause is None:
            raise failure
        self._wait(failure, pause)

    def _may_come_back(self, error: httpx.TransportError) -> bool:
        """Return whether to try again after an attempt that got no answer.

        A server that never answered is not there; one that did may be starting again.
        """
        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
            return False
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return self._exchange._answered.is_set()
        return self._repeatable and self._resets < _MOST_RESETS

    def _wait(self, failure: PermafrostError, seconds: float) -> None:
        if seconds >= _TOLD_FROM_S:
            self._exchange._on_retry(f"{failure} Trying again in {seconds:.3g} s.")
        self._exchange._sleep(seconds)


def _failure(error: httpx.TransportError, server: str) -> PermafrostError:
    if isinstance(error, httpx.UnsupportedProtocol):
        return InvalidRequestError(f"{server} is not the URL of a server: {error}")
    if isinstance(error, httpx.LocalProtocolError):
        return InvalidRequestError(f"A file changed while it was being sent ({error}).")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return ServerUnreachableError(
            f"No Permafrost server answers at {server}: start one with "
            "`./permafrost up` or name another with --server."
        )
    if isinstance(error, httpx.TimeoutException):
        return ServerUnreachableError(
            f"The server at {server} does not answer in time ({type(error).__name__})."
        )
    return ConnectionLostError(
        f"{server} closed the connection before it answered ({type(error).__name__})."
    )


def _authorization(api_key: str | None) -> dict[str, str]:
    secret = (os.environ.get("PERMAFROST_API_KEY", "") if api_key is None else api_key).strip()
    if not secret:
        return {}
    if not is_secret(secret):
        raise InvalidRequestError(
            "The API key (PERMAFROST_API_KEY, or of a file) is none: it was cut or mistyped. Keys "
            "begin with pf_ and have 52 signs."
        )
    return {"Authorization": f"Bearer {secret}"}


def _split(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give lines; only a line feed ends one (`str.splitlines` knows ten more signs)."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def whole_seconds(value: float) -> int:
    """Return a wait as headers and parameters take it."""
    return max(1, round(value))
