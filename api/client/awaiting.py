"""Runs the steps of operations in a program that awaits them."""

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import anyio
import anyio.to_thread
import httpx

from api.client.connection import Connection, made
from api.client.steps import (
    ApiRequest,
    BodyStream,
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


class AsyncSession:
    """Runs the steps of operations as `BlockingSession` does, which explains the options.

    Files are read in threads, so that nothing else is held up.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retry_for_s: float = 60.0,
        on_retry: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
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
        self._http = made(httpx.AsyncClient, self.connection, transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def run(self, steps: Steps[T]) -> T:
        """Run steps that give no items, and return what they return."""
        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                found: T = end.value
                return found
            outcome = await self._take(step)

    async def iterate(self, steps: Steps[Any], read: Callable[[Any], T]) -> AsyncIterator[T]:
        """Run steps, and give their items as `read` reads them."""
        outcome: Any = None
        opened: _AsyncOpened | None = None
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
                    outcome = await opened.read()
                elif isinstance(step, Open):
                    if opened is not None:
                        await opened.close()
                    opened, outcome = await self._open(step.request)
                else:
                    outcome = await self._take(step)
        finally:
            if opened is not None:
                with anyio.CancelScope(shield=True):
                    await opened.close()

    async def _take(self, step: Step) -> Any:
        """Run one step; return its outcome."""
        if isinstance(step, Pause):
            await anyio.sleep(step.seconds)
            return None
        if isinstance(step, Work):
            return await anyio.to_thread.run_sync(step.function)
        if not isinstance(step, Send):
            raise TypeError(f"{type(step).__name__} is a step of what is iterated.")
        try:
            return await self._http.send(self._request(step.request))
        except httpx.RequestError as error:
            return error

    async def _open(
        self, request: ApiRequest
    ) -> "tuple[_AsyncOpened | None, httpx.Response | httpx.RequestError]":
        try:
            answer = await self._http.send(self._request(request), stream=True)
            if answer.is_success:
                return _AsyncOpened(answer), answer
            await answer.aread()
        except httpx.RequestError as error:
            return None, error
        return None, answer

    def _request(self, request: ApiRequest) -> httpx.Request:
        body = request.body
        return self._http.build_request(
            request.method,
            request.path,
            params=request.params,
            headers=request.all_headers(),
            content=body if isinstance(body, bytes) else _in_threads(body),
            timeout=self.connection.timeout(request.extra_timeout_s),
        )


class _AsyncOpened:
    """An answer whose body is read piece by piece."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        self._pieces = answer.aiter_bytes()

    async def read(self) -> bytes | httpx.RequestError:
        try:
            return await anext(self._pieces, b"")
        except httpx.RequestError as error:
            return error

    async def close(self) -> None:
        await self._answer.aclose()


async def _in_threads(body: BodyStream) -> AsyncIterator[bytes]:
    pieces = iter(body)
    while piece := await anyio.to_thread.run_sync(next, pieces, b""):
        yield piece


def awaited(
    operation: Operation[P, Any, T],
) -> Callable[Concatenate[AsyncSession, P], Coroutine[Any, Any, T]]:
    """Make a method of an operation that returns an answer."""

    async def method(self: AsyncSession, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return operation.read(await self.run(operation.steps(self.connection, *args, **kwargs)))

    return described(method, operation)


def iterated(
    operation: Operation[P, Any, T],
) -> Callable[Concatenate[AsyncSession, P], AsyncIterator[T]]:
    """Make a method of an operation that gives things as they come."""

    def method(self: AsyncSession, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.iterate(operation.steps(self.connection, *args, **kwargs), operation.read)

    return described(method, operation)
