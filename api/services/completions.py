"""Endings: one subscription per process that wakes all requests that wait for a job to end."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

import redis
import redis.asyncio
import structlog

from api.services.pipeline import Line
from worker.jobs.keys import key
from worker.jobs.records import ENDED

_log = structlog.get_logger(__name__)

_AGAIN_S = 1.0  # before the next subscription, after one broke
_LISTEN_S = 1.0  # for a message, at most; then it is found out whether Redis lives
_IDLE_S = 5.0  # after which nobody waits any more: every ending of the system costs who listens
_LOOKED_AT = 100  # jobs that are looked at, of those that are waited for, in each such second
_ID_BYTES = 26  # of a message of the channel; what follows is the record


class Ending:
    """Says when it is time to look at a job."""

    def __init__(self) -> None:
        self._is_time = False
        self._waiter: asyncio.Future[None] | None = None
        self.record = b""  # of the job that has ended, where that was told: names and values, JSON
        self.silent = False  # Redis does not answer: how the job stands cannot be found out

    def set(self) -> None:
        """Wake whoever waits."""
        self._is_time = True
        self._wake()

    async def wait(self, seconds: float) -> bool:
        """Return once it is time to look, or return False once the time is up."""
        if not self._is_time:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            late = loop.call_later(seconds, self._wake)
            try:
                await self._waiter
            finally:
                late.cancel()
        was_time, self._is_time = self._is_time, False
        return was_time

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Endings:
    """Tells the requests of one event loop that their jobs ended, over one connection for all.

    A message is missed while there is no connection. So all are woken once there is one again, and
    look at the record themselves; and once a second some of the records are looked at in any case.
    """

    def __init__(
        self, connect: Callable[[], redis.asyncio.Redis], line: Line, *, idle_s: float = _IDLE_S
    ) -> None:
        """`idle_s`: how long to go on listening once nobody waits."""
        self._connect = connect
        self._line = line
        self._idle_s = idle_s
        self._waiting: defaultdict[str, list[Ending]] = defaultdict(list)
        self._tasks: dict[str, asyncio.Task[None]] = {}  # while somebody waits, and a while after
        self._waited = 0.0  # when somebody did, of the monotonic clock

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Ending]:
        """Give what wakes when the job ends or may have ended unnoticed."""
        ending = Ending()
        self._waiting[job_id].append(ending)
        for name, work in (("listen", self._listen), ("look", self._look)):
            if name not in self._tasks or self._tasks[name].done():
                self._tasks[name] = asyncio.get_running_loop().create_task(work())
        try:
            yield ending
        finally:
            left = self._waiting[job_id]
            left.remove(ending)
            if not left:
                del self._waiting[job_id]

    def wake_all(self, *, silent: bool = False) -> None:
        """Have all look at their jobs, or know that they cannot."""
        for endings in self._waiting.values():
            for ending in endings:
                ending.silent = silent
                ending.set()

    async def close(self) -> None:
        """Listen no more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _is_needed(self) -> bool:
        now = time.monotonic()
        if self._waiting:
            self._waited = now
        return now - self._waited < self._idle_s

    async def _listen(self) -> None:
        while self._is_needed():
            try:
                async with self._connect() as client, client.pubsub() as channel:
                    await channel.subscribe(key("ended"))
                    while self._is_needed():
                        message = await channel.get_message(timeout=min(_LISTEN_S, self._idle_s))
                        if message is None:
                            continue
                        if message["type"] == "subscribe":
                            self.wake_all()
                        elif message["type"] == "message":
                            self._wake(message["data"])
            except Exception as error:  # this must outlive whatever the connection meets
                _log.warning("endings interrupted", action="endings_interrupted", error=str(error))
                await asyncio.sleep(_AGAIN_S)

    async def _look(self) -> None:
        """Look at some of the jobs once a second, all of them in turn."""
        place = 0
        while self._is_needed():
            await asyncio.sleep(min(_LISTEN_S, self._idle_s))
            place = 0 if place >= len(self._waiting) else place
            job_ids = list(islice(self._waiting, place, place + _LOOKED_AT))
            place += _LOOKED_AT
            commands = [self._line.run("HGET", key("job", one), "status") for one in job_ids]
            try:
                found = await asyncio.gather(*commands)
            except redis.RedisError as error:
                _log.warning("store error", action="store_error", error=str(error))
                self.wake_all(silent=True)
                continue
            for job_id, status in zip(job_ids, found, strict=True):
                if status is None or status.decode() in ENDED:
                    for ending in self._waiting.get(job_id, ()):
                        ending.set()

    def _wake(self, message: bytes) -> None:
        for ending in self._waiting.get(message[:_ID_BYTES].decode("ascii"), ()):
            ending.record = message[_ID_BYTES:]
            ending.set()
