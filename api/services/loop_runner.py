"""The way from a thread into the event loop.

Behind the door of `api.server` the loop is the one that serves. Under another WSGI server (`flask
run`, gunicorn's own workers) there is none: then a thread of this process runs one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from api.services.loop import LoopKernel
    from api.services.process import Kernel

_Answer = TypeVar("_Answer")
_START_S = 10.0
_THREADS = 2  # for what the loop must not wait for: Celery's messages, looks at a lane


class Portal:
    """Runs coroutines in the event loop of this process, each with what that loop shares."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._core: LoopKernel | None = None
        self._thread: threading.Thread | None = None

    def adopt(self) -> LoopKernel:
        """Make the loop that runs now this process's; return what its requests share."""
        from api.services.loop import LoopKernel  # noqa: PLC0415 - it imports the kernel

        self._core = LoopKernel(self._kernel)
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, "loop"))
        return self._core

    def run(self, work: Callable[[LoopKernel], Coroutine[Any, Any, _Answer]]) -> _Answer:
        """Run a coroutine and return what it returns; it sees the caller's Flask request.

        Only threads may call this, never the loop, which would wait for itself.
        """
        loop, core = self._started()
        return asyncio.run_coroutine_threadsafe(work(core), loop).result()

    def each(self, found: AsyncIterator[_Answer]) -> Iterator[_Answer]:
        """Give, in a thread, what an asynchronous iterator gives."""

        async def following(_core: LoopKernel) -> _Answer | None:
            return await anext(found, None)

        while (piece := self.run(following)) is not None:
            yield piece

    def close(self) -> None:
        """End the thread, if there is one, and let go of connections."""
        with self._lock:
            loop, thread = self._loop, self._thread
            if loop is None or thread is None:
                return
            self.run(lambda core: core.close())
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_START_S)
            self._loop = self._thread = None

    def _started(self) -> tuple[asyncio.AbstractEventLoop, LoopKernel]:
        if self._loop is not None and self._core is not None:
            return self._loop, self._core
        with self._lock:
            if self._loop is None:
                ready = threading.Event()
                # Started here rather than at import: it must live in the process that serves.
                self._thread = threading.Thread(
                    target=self._serve, args=(ready,), name="loop", daemon=True
                )
                self._thread.start()
                ready.wait(_START_S)
            if self._loop is None or self._core is None:
                raise RuntimeError("The event loop did not start.")
            return self._loop, self._core

    def _serve(self, ready: threading.Event) -> None:
        async def begin() -> None:
            self.adopt()
            ready.set()

        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(begin())
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
