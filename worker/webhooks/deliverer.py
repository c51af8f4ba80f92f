"""The deliverer: one small process that sends what is due, many at the same time.

It is no Celery worker. A ticket says that there is work now; a webhook is due now, in five minutes
or tomorrow, and waits for the network, not for a processor. So one process with one event loop
takes what is due by lease and token, as workers take items. Any number of them may run.
"""

import asyncio
import os
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import psutil
import redis
import structlog

from worker.errors import WebhooksOffError
from worker.jobs.roster import Roster, WorkerReport, new_worker_id
from worker.redis.connection import connect
from worker.settings import Settings
from worker.webhooks.deliveries import Deliveries, Delivery, Due, State
from worker.webhooks.sending import Attempt, Sender
from worker.webhooks.signatures import known_secrets, signed_headers
from worker.webhooks.targets import AllowedHosts

QUEUE = "webhooks"  # what the roster calls it

_log = structlog.get_logger(__name__)
_CALL_S = 1.0  # for which one call to Redis waits until something is due
_RETRY_S = 1.0  # before Redis is tried again after an error
_OFF_S = 60.0  # before a deliverer without a secret looks for one again
_MOST_RESOLVERS = 64  # threads that resolve names


class Deliverer:
    """Sends webhooks until it is stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = connect(settings)
        self._deliveries = Deliveries(self._client, settings)
        self._roster = Roster(self._client, settings)
        self._resolvers = ThreadPoolExecutor(
            min(settings.webhook_concurrency, _MOST_RESOLVERS), "resolver"
        )
        self._sender = Sender(
            AllowedHosts.of(settings.webhook_hosts), settings.webhook_timeout_s, self._resolvers
        )
        self._under_way: dict[asyncio.Task[None], Delivery] = {}
        self._stopping = asyncio.Event()
        self._id = new_worker_id()
        self._started_ms = round(time.time() * 1000)
        self._sent = 0

    def stop(self) -> None:
        """Take nothing more, and end once what is under way has ended or its time is up."""
        self._stopping.set()

    async def run(self) -> None:
        """Send what is due until `stop`."""
        heart = asyncio.create_task(self._beat())
        stopped = asyncio.create_task(self._stopping.wait())
        calls: asyncio.Future[None] | None = None
        try:
            while not self._stopping.is_set():
                try:
                    due = await self._take()
                except redis.RedisError as error:
                    _log.warning("store error", action="store_error", error=str(error))
                    await asyncio.wait({stopped}, timeout=_RETRY_S)
                    continue
                calls = await self._wait(due, stopped, calls)
        finally:
            heart.cancel()
            await self._finish()
            stopped.cancel()
            with suppress(redis.RedisError):
                await asyncio.to_thread(self._roster.leave, self._id, ())
            self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def _take(self) -> Due:
        free = self._settings.webhook_concurrency - len(self._under_way)
        if free <= 0:
            return Due([], None)
        hosts = Counter(delivery.host for delivery in self._under_way.values())
        due = await asyncio.to_thread(self._deliveries.take, free, hosts)
        for delivery in due.deliveries:
            task = asyncio.create_task(self._deliver(delivery))
            self._under_way[task] = delivery
            task.add_done_callback(lambda done: self._under_way.pop(done, None))
        return due

    async def _wait(
        self,
        due: Due,
        stopped: asyncio.Task[bool],
        calls: asyncio.Future[None] | None,
    ) -> asyncio.Future[None] | None:
        """Wait until something is due, an attempt has ended or it is time to stop."""
        if due.deliveries and len(self._under_way) < self._settings.webhook_concurrency:
            return calls  # there may be more
        if calls is None or calls.done():
            calls = asyncio.ensure_future(asyncio.to_thread(self._call))
        awaited: set[asyncio.Future[Any]] = {stopped, calls, *self._under_way}
        await asyncio.wait(
            awaited,
            timeout=None if due.next_s is None else max(0.01, due.next_s),
            return_when=asyncio.FIRST_COMPLETED,
        )
        return calls

    def _call(self) -> None:
        try:
            self._deliveries.wait(_CALL_S)
        except redis.RedisError:  # the next call raises it again
            time.sleep(_RETRY_S)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            keys = known_secrets(self._settings)
        except WebhooksOffError as error:
            await self._settle(delivery, "returned", error=error.message, wait_s=_OFF_S)
            return
        headers = signed_headers(keys, delivery.message_id, round(time.time()), delivery.body)
        try:
            attempt = await self._sender.send(delivery.url, headers, delivery.body)
        except asyncio.CancelledError:
            await self._settle(delivery, "returned")
            return
        except Exception as error:  # whatever a receiver brings about, the others are served
            _log.error("webhook failed", action="webhook_failed", exc_info=error)
            attempt = Attempt(False, "The webhook could not be sent.")
        await self._conclude(delivery, attempt)

    async def _conclude(self, delivery: Delivery, attempt: Attempt) -> None:
        pauses = self._settings.webhook_pauses_s
        if attempt.delivered:
            self._sent += 1
            await self._settle(delivery, "delivered")
        elif attempt.hopeless or delivery.attempts >= len(pauses):
            _log.warning(
                "webhook given up",
                action="webhook_given_up",
                delivery=delivery.id,
                host=delivery.host,
                error=attempt.error,
            )
            await self._settle(delivery, "failed", error=attempt.error)
        else:
            wait_s = max(pauses[delivery.attempts], attempt.pause_s)
            await self._settle(delivery, "pending", error=attempt.error, wait_s=wait_s)

    async def _settle(
        self, delivery: Delivery, state: State, *, error: str = "", wait_s: float = 0
    ) -> None:
        settle = partial(self._deliveries.settle, delivery, state, error=error, wait_s=wait_s)
        try:
            await asyncio.to_thread(settle)
        except redis.RedisError as failure:  # the lease runs out, and it is sent again
            _log.warning("store error", action="store_error", error=str(failure))

    async def _finish(self) -> None:
        """Let what is under way end, and hand back what does not in time."""
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=self._settings.stop_grace_s / 2)
        left = set(self._under_way)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=self._settings.stop_grace_s / 2)

    async def _beat(self) -> None:
        while True:
            with suppress(redis.RedisError):
                await asyncio.to_thread(self._roster.report, self._report())
            await asyncio.sleep(self._settings.heartbeat_s)

    def _report(self) -> WorkerReport:
        return WorkerReport(
            id=self._id,
            pid=os.getpid(),
            host=socket.gethostname(),
            state="stopping" if self._stopping.is_set() else "ready",
            queues=(QUEUE,),
            graphs=(),
            memory_bytes=psutil.Process().memory_info().rss,
            items=self._sent,
            started_ms=self._started_ms,
        )


def is_running(settings: Settings) -> bool:
    """Whether a deliverer of this machine reports."""
    with connect(settings) as client:
        try:
            rows = Roster(client, settings).read()
        except redis.RedisError:
            return False
    return any(QUEUE in row.queues and row.host == socket.gethostname() for row in rows)
