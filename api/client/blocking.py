"""Runs the steps of operations in a program that blocks until each is done."""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from api.client.connection import Connection, made
from api.client.steps import (
    ApiRequest,
    Give,
    Open,
    Operation,
    Pause,
    Read,
    Send,
    Step,
    Steps,
    Work,
    described,
)

P = ParamSpec("P")
T = TypeVar("T")


class BlockingSession:
    """Runs the steps of operations over connections that stay open.

    Safe for threads. `server`: the server's URL, by default what PERMAFROST_URL holds, else
    http://127.0.0.1:8000; without a scheme, http is meant.
    `api_key`: the API key to send; by default that of PERMAFROST_API_KEY, else the one that
    ~/.config/permafrost/keys (or the file that PERMAFROST_API_KEY_FILE names) has for the server.
    `timeout_s`: seconds after which a silent server is given up.
    `retry_for_s`: seconds for which one request is tried again, in all, while the server is busy
    (429, 503) or the connection is lost; then it fails.
    `on_retry`: called with a sentence before each such wait of a second or more.
    `sleep`, `clock`, `transport`: for tests.

    Every request raises `ServerUnreachableError`, `NotPermafrostError`, or `ServerError` with the
    server's own code, status and sentence.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retry_for_s: float = 60.0,
        on_retry: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.connection = Connection(
            server,
            api_key=api_key,
            timeout_s=timeout_s,
            retry_for_s=retry_for_s,
            on_retry=on_retry,
            clock=clock,
        )
        self.server = self.connection.server
        self.is_local = self.connection.is_local
        self._sleep = sleep
        self._http = made(httpx.Client, self.connection, transport)

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

    def run(self, steps: Steps[T]) -> T:
        """Run steps that give no items, and return what they return."""
        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                found: T = end.value
                return found
            outcome = self._take(step)

    def iterate(self, steps: Steps[Any], read: Callable[[Any], T]) -> Iterator[T]:
        """Run steps, and give their items as `read` reads them."""
        outcome: Any = None
        opened: _Opened | None = None
        try:
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration:
                    return
                if isinstance(step, Give):
                    yield read(step.item)
                    outcome = None
                elif isinstance(step, Read) and opened is not None:
                    outcome = opened.read()
                elif isinstance(step, Open):
                    if opened is not None:
                        opened.close()
                    opened, outcome = self._open(step.request)
                else:
                    outcome = self._take(step)
        finally:
            if opened is not None:
                opened.close()

    def _take(self, step: Step) -> Any:
        """Run one step; return its outcome."""
        if isinstance(step, Pause):
            self._sleep(step.seconds)
            return None
        if isinstance(step, Work):
            return step.function()
        if not isinstance(step, Send):
            raise TypeError(f"{type(step).__name__} is a step of what is iterated.")
        try:
            return self._http.send(self._request(step.request))
        except httpx.RequestError as error:
            return error

    def _open(
        self, request: ApiRequest
    ) -> "tuple[_Opened | None, httpx.Response | httpx.RequestError]":
        try:
            answer = self._http.send(self._request(request), stream=True)
            if answer.is_success:
                return _Opened(answer), answer
            answer.read()
        except httpx.RequestError as error:
            return None, error
        return None, answer

    def _request(self, request: ApiRequest) -> httpx.Request:
        return self._http.build_request(
            request.method,
            request.path,
            params=request.params,
            headers=request.all_headers(),
            content=request.body,
            timeout=self.connection.timeout(request.extra_timeout_s),
        )


class _Opened:
    """An answer whose body is read piece by piece."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        self._pieces = answer.iter_bytes()

    def read(self) -> bytes | httpx.RequestError:
        try:
            return next(self._pieces, b"")
        except httpx.RequestError as error:
            return error

    def close(self) -> None:
        self._answer.close()


def blocking(operation: Operation[P, Any, T]) -> Callable[Concatenate[BlockingSession, P], T]:
    """Make a method of an operation that returns an answer."""

    def method(self: BlockingSession, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return operation.read(self.run(operation.steps(self.connection, *args, **kwargs)))

    return described(method, operation)


def iterating(
    operation: Operation[P, Any, T],
) -> Callable[Concatenate[BlockingSession, P], Iterator[T]]:
    """Make a method of an operation that gives things as they come."""

    def method(self: BlockingSession, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.iterate(operation.steps(self.connection, *args, **kwargs), operation.read)

    return described(method, operation)
