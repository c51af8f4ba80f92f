"""Flask in threads: a request gets one once it is there whole, and none for its answer's way."""

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
    """An answer of which the head is there. It must be closed."""

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
        """Forget what was not asked for."""
        self.buffer.close()
        if self.file is not None:
            self.file.close()


class Threads:
    """Calls a WSGI application (PEP 3333) in one of a number of threads."""

    def __init__(self, application: Application, count: int, spool: SpoolBudget) -> None:
        self._application = application
        self._pool = ThreadPoolExecutor(count, "flask")
        self._spool = spool

    async def answer(self, environ: Environ, over: Callable[[], None]) -> ThreadResponse:
        """Return the application's answer; what it raises is raised here.

        `over` is called in the loop once the thread has done all, whoever still waits for it.
        """
        loop = asyncio.get_running_loop()
        buffer = ResponseBuffer(loop, self._spool)
        head: asyncio.Future[ThreadResponse] = loop.create_future()

        def tell(tell_: Callable[[Any], None], what: Any) -> None:
            def do() -> None:
                if not head.done():
                    tell_(what)
                elif isinstance(what, ThreadResponse):  # nobody waits for it any more
                    what.close()

            loop.call_soon_threadsafe(do)

        def work() -> None:
            answer = ThreadResponse(500, [], buffer)

            def start_response(status: str, headers: Headers, *_: object) -> None:
                answer.status, answer.headers = int(status.split(" ", 1)[0]), headers

            try:
                body = self._application(environ, start_response)
            except BaseException as error:  # the loop is told, and this thread lives on
                tell(head.set_exception, error)
                return
            answer.file = body if isinstance(body, FileResponse) else None
            tell(head.set_result, answer)
            if answer.file is None:
                buffer.write(body)

        self._pool.submit(work).add_done_callback(lambda _: loop.call_soon_threadsafe(over))
        try:
            return await head
        except asyncio.CancelledError:
            buffer.close()
            raise

    def close(self) -> None:
        """Take nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
