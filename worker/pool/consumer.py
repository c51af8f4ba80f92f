"""Celery's consumer in a worker's main process: quicker to reconnect and to replace processes."""

import os
import signal
import time
from contextlib import suppress
from functools import partial
from typing import Any

import celery.worker.consumer
import redis
import structlog
from kombu.transport import redis as transport
from kombu.transport import virtual

from worker.pool.scoreboard import overdue, record_exit

_log = structlog.get_logger(__name__)
_RETRY_S = 2.0
_REFUSED_S = 1.0
_LOOK_S = 0.25


class TicketsHeld(transport.QoS):
    """The tickets that were taken and not acknowledged; kombu limits their number.

    A ticket that cannot be acknowledged, because Redis loads its data or has just stopped, no
    longer counts. In kombu 5.7 it counts for ever, unless the connection breaks as well: with one
    such ticket for each process a worker would never take another. Losing the ticket does no harm:
    the sweeper sends others wherever work waits.
    """

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a ticket."""
        try:
            super().ack(delivery_tag)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Refuse a ticket; with `requeue` it goes back to its queue."""
        try:
            super().reject(delivery_tag, requeue)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


transport.Channel.QoS = TicketsHeld


class Consumer(celery.worker.consumer.Consumer):
    """Celery's consumer, quicker to repair.

    It tries to connect again every two seconds. Celery waits two seconds longer before each try, up
    to half a minute, and has no setting for it: after a long outage of Redis a worker would stand
    idle beside it for as long.

    It looks four times a second for processes of the pool that have died, and kills those that
    hang. Celery notices a death when the process closes its files, looks at once, and often looks
    too early: a large process takes some time to be gone. It looks again only five seconds later,
    and has no setting for that.
    """

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once it is made."""
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=_RETRY_S, interval_max=_RETRY_S
        )
        return super().ensure_connected(conn)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Log it and wait a little where Redis is full: it would refuse again at once."""
        forget_tickets(self.connection)
        super().on_connection_error_after_connected(exc)
        if isinstance(exc, redis.ResponseError):
            time.sleep(_REFUSED_S)

    def register_with_event_loop(self, hub: Any) -> None:
        """Have the hub call what has to be called, until the connection is lost."""
        super().register_with_event_loop(hub)
        maintain_pool = getattr(self.pool, "maintain_pool", None)  # not every pool has processes
        if maintain_pool is not None:
            _record_exits(self.pool)
            hub.call_repeatedly(_LOOK_S, _kill_overdue)
            hub.call_repeatedly(_LOOK_S, maintain_pool)


def forget_tickets(connection: Any) -> None:
    """Have a lost connection neither put back nor acknowledge the tickets that it brought.

    Celery drops the transport first. kombu 5.7 then fails with an AttributeError, which does not
    count as a connection error, and the worker ends. Losing these tickets does no harm: the sweeper
    sends others wherever work waits.
    """
    channel = getattr(connection, "_default_channel", None)
    if channel is not None:
        channel.do_restore = False
        channel.basic_ack = channel.basic_reject = _forget


def _forget(*_: object, **__: object) -> None:
    """Do nothing about a ticket."""


def _record_exits(pool: Any) -> None:
    """Have the scoreboard record how each process of the pool ended."""
    processes = pool._pool  # billiard's, inside Celery's
    on_process_down = processes.on_process_down
    if getattr(on_process_down, "records", False):  # already replaced, before a reconnection
        return

    def record(worker: Any) -> None:
        record_exit(worker.pid, worker.exitcode)
        on_process_down(worker)

    record.records = True  # type: ignore[attr-defined] # so that it is recognised
    processes.on_process_down = record


def _kill_overdue() -> None:
    for pid in overdue():
        _log.error("hanging process killed", action="hanging_killed", pid=pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
