"""Flask in a pool of threads.

A request gets a thread once it has arrived whole, and leaves it once its answer is written.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from api.server.response_buffer import FileResponse, ResponseBuffer
from api.server.spool import SpoolBudget

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Headers = list[tuple[str, str]]


@dataclass
class ThreadResponse:
    """An answer of a thread: its status and headers, and where its body comes from."""

    status: int
    headers: Headers
    buffer: ResponseBuffer
    file: FileResponse | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body."""
        if self.file is not None:
            for piece in self.file:
                yield piece
            return
        async for piece in self.buffer.pieces():
            yield piece

    def close(self) -> None:
        """Drop what was not read."""
        self.buffer.close()
        if self.file is not None:
            self.file.close()


class Threads:
    """Calls a WSGI application (PEP 3333) in threads."""

    def __init__(self, application: Application, count: int, spool: SpoolBudget) -> None:
        self._application = application
        self._pool = ThreadPoolExecutor(count, "flask")
        self._spool = spool

    async def answer(self, environ: Environ, done: Callable[[], None]) -> ThreadResponse:
        """Return the application's answer, once its head is known; raise what it raises.

        `done` is called in the loop once the thread has ended, even if the client has gone.
        """
        loop = asyncio.get_running_loop()
        buffer = ResponseBuffer(loop, self._spool)
        head: asyncio.Future[ThreadResponse] = loop.create_future()

        def settle(set_: Callable[[Any], None], outcome: Any) -> None:
            def do() -> None:
                if not head.done():
                    set_(outcome)
                elif isinstance(outcome, ThreadResponse):  # the client has gone
                    outcome.close()

            loop.call_soon_threadsafe(do)

        def work() -> None:
            answer = ThreadResponse(500, [], buffer)

            def start_response(status: str, headers: Headers, *_: object) -> None:
                answer.status, answer.headers = int(status.split(" ", 1)[0]), headers

            try:
                body = self._application(environ, start_response)
            except BaseException as error:  # is raised in the loop; this thread lives on
                settle(head.set_exception, error)
                return
            answer.file = body if isinstance(body, FileResponse) else None
            settle(head.set_result, answer)
            if answer.file is None:
                buffer.write(body)

        self._pool.submit(work).add_done_callback(lambda _: loop.call_soon_threadsafe(done))
        try:
            return await head
        except asyncio.CancelledError:
            buffer.close()
            raise

    def close(self) -> None:
        """Stop taking requests."""
        self._pool.shutdown(wait=False, cancel_futures=True)
