"""Runs coroutines in the event loop of this process, for threads.

With `api.server` that is the loop that serves. Under another WSGI server (`flask run`, gunicorn's
own workers) there is none: then a thread of this process runs one.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from api.services.loop import LoopServices

_Answer = TypeVar("_Answer")
_START_S = 10.0
_THREADS = 2  # for calls that block: sending Celery's messages, asking whether a lane is full


class LoopRunner:
    """Hands coroutines to the loop, each with the services of that loop."""

    def __init__(self, make_services: Callable[[], LoopServices]) -> None:
        """`make_services` is called once, in the loop."""
        self._make_services = make_services
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._services: LoopServices | None = None
        self._thread: threading.Thread | None = None

    def use_running_loop(self) -> LoopServices:
        """Make the loop that runs now this process's; return the services of its requests."""
        self._services = self._make_services()
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, "loop"))
        return self._services

    def run(self, work: Callable[[LoopServices], Coroutine[Any, Any, _Answer]]) -> _Answer:
        """Run a coroutine and return what it returns; it sees the caller's Flask request.

        Only threads may call this, never the loop, which would wait for itself.
        """
        loop, services = self._started()
        return asyncio.run_coroutine_threadsafe(work(services), loop).result()

    def iterate(self, found: AsyncIterator[_Answer]) -> Iterator[_Answer]:
        """Give, in a thread, what an asynchronous iterator gives."""

        async def following(_: LoopServices) -> _Answer | None:
            return await anext(found, None)

        while (item := self.run(following)) is not None:
            yield item

    def close(self) -> None:
        """End the thread, if one was started, and close its connections."""
        with self._lock:
            loop, thread = self._loop, self._thread
            if loop is None or thread is None:
                return
            self.run(LoopServices.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_START_S)
            self._loop = self._thread = None

    def _started(self) -> tuple[asyncio.AbstractEventLoop, LoopServices]:
        if self._loop is not None and self._services is not None:
            return self._loop, self._services
        with self._lock:
            if self._loop is None:
                ready = threading.Event()
                # Started here rather than at import: it must live in the process that serves.
                self._thread = threading.Thread(
                    target=self._serve, args=(ready,), name="loop", daemon=True
                )
                self._thread.start()
                ready.wait(_START_S)
            if self._loop is None or self._services is None:
                raise RuntimeError("The event loop did not start.")
            return self._loop, self._services

    def _serve(self, ready: threading.Event) -> None:
        async def begin() -> None:
            self.use_running_loop()
            ready.set()

        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(begin())
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
