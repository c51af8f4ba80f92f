"""One subscription per process, which wakes the requests that wait for a job to end."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

import redis
import redis.asyncio
import structlog

from api.services.pipeline import CommandPipeline
from worker.jobs.keys import key
from worker.jobs.records import ENDED

_log = structlog.get_logger(__name__)

_RESUBSCRIBE_S = 1.0  # before the next subscription, after one broke
_MESSAGE_TIMEOUT_S = 1.0  # after which it is found out whether Redis still answers
# For which to go on listening though no request waits: a listener hears of every job that ends.
_IDLE_S = 5.0
_POLL_S = 1.0  # between two looks at jobs in Redis
_MOST_POLLED = 100  # jobs of one look
_ID_BYTES = 26  # at the beginning of a message; the record of the job follows


class Completion:
    """Wakes one request when its job has ended, or may have."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None
        self.record = b""  # of the job that has ended, if it came with the message; JSON
        self.store_is_silent = False  # Redis does not answer, so the job cannot be read

    def set(self) -> None:
        """Wake the request."""
        self._is_set = True
        self._wake()

    async def wait(self, seconds: float) -> bool:
        """Return True once the job is to be read, or False once the time is up."""
        if not self._is_set:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            late = loop.call_later(seconds, self._wake)
            try:
                await self._waiter
            finally:
                late.cancel()
        was_set, self._is_set = self._is_set, False
        return was_set

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Completions:
    """Wakes the requests of one event loop when their jobs end, over one connection for all.

    Messages are missed while there is no connection. So all requests are woken once there is one
    again, and read their jobs themselves; and some of the jobs are read once a second in any case.
    """

    def __init__(
        self,
        connect: Callable[[], redis.asyncio.Redis],
        pipeline: CommandPipeline,
        *,
        idle_s: float = _IDLE_S,
    ) -> None:
        """`idle_s`: how long to go on listening though no request waits."""
        self._connect = connect
        self._pipeline = pipeline
        self._idle_s = idle_s
        self._waiting: defaultdict[str, list[Completion]] = defaultdict(list)
        self._tasks: dict[
            str, asyncio.Task[None]
        ] = {}  # while requests wait, and for `idle_s` after
        self._last_waited = 0.0  # monotonic

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Completion]:
        """Give what wakes the request when the job ends, or may have ended unnoticed."""
        completion = Completion()
        self._waiting[job_id].append(completion)
        for name, work in (("listen", self._listen), ("poll", self._poll)):
            if name not in self._tasks or self._tasks[name].done():
                self._tasks[name] = asyncio.get_running_loop().create_task(work())
        try:
            yield completion
        finally:
            left = self._waiting[job_id]
            left.remove(completion)
            if not left:
                del self._waiting[job_id]

    def wake_all(self, *, store_is_silent: bool = False) -> None:
        """Have all requests read their jobs, or know that they cannot be read."""
        for completions in self._waiting.values():
            for completion in completions:
                completion.store_is_silent = store_is_silent
                completion.set()

    async def close(self) -> None:
        """Stop listening."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _is_needed(self) -> bool:
        now = time.monotonic()
        if self._waiting:
            self._last_waited = now
        return now - self._last_waited < self._idle_s

    async def _listen(self) -> None:
        while self._is_needed():
            try:
                async with self._connect() as client, client.pubsub() as channel:
                    await channel.subscribe(key("ended"))
                    while self._is_needed():
                        message = await channel.get_message(
                            timeout=min(_MESSAGE_TIMEOUT_S, self._idle_s)
                        )
                        if message is None:
                            continue
                        if message["type"] == "subscribe":
                            self.wake_all()
                        elif message["type"] == "message":
                            self._wake(message["data"])
            except Exception as error:  # the listener must survive any fault of the connection
                _log.warning(
                    "subscription interrupted", action="subscription_interrupted", error=str(error)
                )
                await asyncio.sleep(_RESUBSCRIBE_S)

    async def _poll(self) -> None:
        """Read some of the jobs once a second, all of them in turn."""
        place = 0
        while self._is_needed():
            await asyncio.sleep(min(_POLL_S, self._idle_s))
            place = 0 if place >= len(self._waiting) else place
            job_ids = list(islice(self._waiting, place, place + _MOST_POLLED))
            place += _MOST_POLLED
            commands = [self._pipeline.run("HGET", key("job", one), "status") for one in job_ids]
            try:
                found = await asyncio.gather(*commands)
            except redis.RedisError as error:
                _log.warning("store error", action="store_error", error=str(error))
                self.wake_all(store_is_silent=True)
                continue
            for job_id, status in zip(job_ids, found, strict=True):
                if status is None or status.decode() in ENDED:
                    for completion in self._waiting.get(job_id, ()):
                        completion.set()

    def _wake(self, message: bytes) -> None:
        for completion in self._waiting.get(message[:_ID_BYTES].decode("ascii"), ()):
            completion.record = message[_ID_BYTES:]
            completion.set()
