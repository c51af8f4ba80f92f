"""The requests that a server answers, one method each."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from api.client.address import path_part, server_url
from api.client.answers import not_permafrost, refusal, worth_waiting
from api.client.errors import ConnectionLostError, ServerUnreachableError
from api.client.uploads import Body, LocalFile, json_bytes, multipart, opened, sendable
from api.client.waits import Waits
from worker.errors import InvalidRequestError, PermafrostError

Json = dict[str, Any]
Params = dict[str, str | int | float]

ENDED = frozenset({"succeeded", "failed", "cancelled"})

_CONNECT_S = 5.0  # longest wait for a connection
_TOLD_FROM_S = 1.0  # shorter waits are nobody's concern
_MOST_RESETS = 5  # attempts of one request that end without an answer
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Client:
    """The requests of one server. Keeps connections open; safe for threads.

    `server`: the server's URL; without a scheme, http is meant.
    `timeout_s`: seconds after which a silent server is given up.
    `patience_s`: seconds of waiting, summed up over the attempts of one request, that a busy
    server (429, 503) or a lost connection may cost before the request fails.
    `on_retry`: called with a sentence before each such wait of a second or more.
    `sleep`, `clock`, `transport`: for tests.

    Every method raises `ServerUnreachableError`, `NotPermafrostError`, or `ServerError` with the
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
    ) -> None:
        self.server = server_url(server)
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._on_retry = on_retry or (lambda _: None)
        self._sleep = sleep
        self._clock = clock
        self._answered = threading.Event()
        url = httpx.URL(self.server)
        self._http = httpx.Client(
            base_url=url,
            headers={"User-Agent": "permafrost-client", "Accept": "application/json"},
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
            transport=transport,
            trust_env=url.host not in _LOOPBACK,  # no proxy stands between a machine and itself
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

    # -- submitting -------------------------------------------------------------------------

    def predict(
        self, image: Path | bytes, *, model: str, top: int | None = None, wait_s: float = 0
    ) -> Json:
        """Submit one image and return its job; with `wait_s`, the server holds the answer."""
        params: Params = {"model": sendable(model)}
        if top is not None:
            params["top"] = top
        headers = {"Content-Type": "application/octet-stream"}
        if isinstance(image, bytes):
            return self._submit("/v1/predictions", wait_s, headers, params=params, content=image)
        with opened(image) as file:
            body = Body(file)
            return self._submit("/v1/predictions", wait_s, headers, params=params, content=body)

    def freeze_path(self, options: Json, *, wait_s: float = 0) -> Json:
        """Submit a freeze of `options["source"]`, a path under the server's sources root."""
        return self._submit_json("/v1/freezes", wait_s, options, repeatable=False)

    def freeze_upload(
        self,
        files: Sequence[LocalFile],
        options: Json,
        *,
        wait_s: float = 0,
        on_sent: Callable[[int], None] | None = None,
    ) -> Json:
        """Submit a freeze of files of this machine, streamed from disk.

        A single zip or tar file is sent as an archive. `on_sent` is called with the number of
        bytes as they leave, and with a negative number where an upload starts again.
        """
        with multipart(files, options, on_sent) as parts:
            return self._submit("/v1/freezes", wait_s, repeatable=False, **parts)

    def inspect_path(self, source: str, *, wait_s: float = 0) -> Json:
        """Submit an inspection of a path under the server's sources root."""
        return self._submit_json("/v1/inspections", wait_s, {"source": source})

    def inspect_upload(
        self,
        files: Sequence[LocalFile],
        *,
        wait_s: float = 0,
        on_sent: Callable[[int], None] | None = None,
    ) -> Json:
        """Submit an inspection of files of this machine, sent as `freeze_upload` sends them."""
        with multipart(files, None, on_sent) as parts:
            return self._submit("/v1/inspections", wait_s, **parts)

    # -- jobs -------------------------------------------------------------------------------

    def job(self, job_id: str, *, wait_s: float = 0) -> Json:
        """Return a job; with `wait_s`, the server holds the answer until it ended or as long."""
        params: Params = {"wait": _seconds(wait_s)} if wait_s > 0 else {}
        answer = self._request("GET", f"/v1/jobs/{path_part(job_id)}", wait_s=wait_s, params=params)
        return self._job(answer)

    def jobs(
        self,
        *,
        kind: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Json:
        """Return one page of jobs, newest first: `{"jobs": [...], "next": cursor or null}`."""
        asked = {"kind": kind, "status": status, "cursor": cursor, "limit": limit}
        params: Params = {
            name: sendable(value) if isinstance(value, str) else value
            for name, value in asked.items()
            if value is not None
        }
        return self._document(self._request("GET", "/v1/jobs", params=params), "jobs")

    def cancel(self, job_id: str) -> Json:
        """Cancel a job and return it as it is then."""
        answer = self._request("DELETE", f"/v1/jobs/{path_part(job_id)}")
        return self._job(answer) if answer.content else self.job(job_id)

    def wait_for(
        self,
        job: Json,
        on_update: Callable[[Json], None] | None = None,
        *,
        hold_s: float = 1.0,
    ) -> Json:
        """Return the job once it has ended; `on_update` is called with every state that is read.

        `hold_s`: seconds for which each request lets the server hold its answer. A server that
        answers at once instead (it bounds the requests that may wait) is asked less often.
        """
        on_update = on_update or (lambda _: None)
        pause = 0.1
        on_update(job)
        while job["status"] not in ENDED:
            asked = self._clock()
            job = self.job(str(job["id"]), wait_s=hold_s)
            on_update(job)
            if job["status"] not in ENDED and self._clock() - asked < hold_s / 2:
                self._sleep(pause)
                pause = min(pause * 2, 2.0)
        return job

    # -- what there is ----------------------------------------------------------------------

    def models(self) -> Json:
        """Return every model: `{"models": [...]}`."""
        return self._document(self._request("GET", "/v1/models"), "models")

    def model(self, name: str) -> Json:
        """Return one model with its aliases and versions."""
        return self._document(self._request("GET", f"/v1/models/{path_part(name)}"), "versions")

    def version(self, name: str, version: int) -> Json:
        """Return the manifest of one version."""
        answer = self._request("GET", f"/v1/models/{path_part(name)}/versions/{version}")
        return self._document(answer, "version")

    def workers(self) -> Json:
        """Return one row per worker process: `{"workers": [...]}`."""
        return self._document(self._request("GET", "/v1/workers"), "workers")

    def ready(self) -> bool:
        """Return whether the server could make a prediction now. Raises nothing."""
        try:
            return self._http.get("/readyz", timeout=self._timeout(0)).status_code == 200
        except httpx.HTTPError:
            return False

    # -- inside -----------------------------------------------------------------------------

    def _submit_json(
        self, path: str, wait_s: float, document: Json, *, repeatable: bool = True
    ) -> Json:
        headers = {"Content-Type": "application/json"}
        body = json_bytes(document)
        return self._submit(path, wait_s, headers, content=body, repeatable=repeatable)

    def _submit(
        self, path: str, wait_s: float, headers: dict[str, str] | None = None, **request: Any
    ) -> Json:
        headers = {**(headers or {}), "Idempotency-Key": uuid.uuid4().hex}
        if wait_s > 0:
            headers["Prefer"] = f"wait={_seconds(wait_s)}"
        return self._job(self._request("POST", path, wait_s=wait_s, headers=headers, **request))

    def _request(
        self, method: str, path: str, *, wait_s: float = 0, repeatable: bool = True, **request: Any
    ) -> httpx.Response:
        """Send until there is an answer that waiting would not change.

        A request that is not `repeatable` is not sent again once a server may have taken it.
        """
        waits = Waits(self._patience_s)
        resets = 0
        while True:
            try:
                answer = self._http.request(method, path, timeout=self._timeout(wait_s), **request)
            except httpx.TransportError as error:
                resets += 1
                failure = self._failure(error)
                again = self._may_come_back(error, resets, repeatable)
                pause = waits.next(None) if again else None
                if pause is None:
                    raise failure from error
            else:
                self._answered.set()
                if answer.is_success:
                    return answer
                failure = refusal(answer, self.server)
                pause = waits.next(failure.retry_after) if worth_waiting(answer) else None
                if pause is None:
                    raise failure
            if pause >= _TOLD_FROM_S:
                self._on_retry(f"{failure} Trying again in {pause:.3g} s.")
            self._sleep(pause)

    def _may_come_back(self, error: httpx.TransportError, resets: int, repeatable: bool) -> bool:
        """Return whether to try again after an attempt that got no answer.

        A server that never answered is not there; one that did may be starting again.
        """
        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
            return False
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return self._answered.is_set()
        return repeatable and resets < _MOST_RESETS

    def _failure(self, error: httpx.TransportError) -> PermafrostError:
        if isinstance(error, httpx.UnsupportedProtocol):
            return InvalidRequestError(f"{self.server} is not the URL of a server: {error}")
        if isinstance(error, httpx.LocalProtocolError):
            return InvalidRequestError(f"A file changed while it was being sent ({error}).")
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return ServerUnreachableError(
                f"No Permafrost server answers at {self.server}: start one with "
                "`./permafrost up` or name another with --server."
            )
        if isinstance(error, httpx.TimeoutException):
            return ServerUnreachableError(
                f"The server at {self.server} does not answer in time ({type(error).__name__})."
            )
        return ConnectionLostError(
            f"{self.server} closed the connection before it answered ({type(error).__name__})."
        )

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


def _seconds(value: float) -> int:
    return max(1, round(value))
