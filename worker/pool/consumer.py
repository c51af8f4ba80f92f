"""How a worker's main process comes back to a broker, and to its pool, that lost something."""

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

from worker.pool.scoreboard import note_death, overdue

_log = structlog.get_logger(__name__)
_RETRY_S = 2.0
_REFUSED_S = 1.0
_LOOK_S = 0.25


class TicketsHeld(transport.QoS):
    """The tickets that were taken and not acknowledged, of which kombu lets there be so many.

    One that cannot be acknowledged, because Redis loads its data or has just gone, does not count
    any more. For kombu 5.7 it counts for ever, unless the connection breaks as well: with one such
    ticket for each process a worker would never take another. What becomes of it does not matter:
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
        """Give a ticket back, or away."""
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

    It looks four times a second for processes of the pool that have died, or that hang and must.
    Celery is told of a death when the process closes its files, looks at once, and often looks too
    early: a large process takes some time to be gone. It looks again five seconds later, and has no
    setting for that.
    """

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once it is made."""
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=_RETRY_S, interval_max=_RETRY_S
        )
        return super().ensure_connected(conn)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Say so; what Redis refuses, because it is full, it refuses again if asked at once."""
        leave_tickets(self.connection)
        super().on_connection_error_after_connected(exc)
        if isinstance(exc, redis.ResponseError):
            time.sleep(_REFUSED_S)

    def register_with_event_loop(self, hub: Any) -> None:
        """Have the hub call what has to be called, until the connection is lost."""
        super().register_with_event_loop(hub)
        maintain_pool = getattr(self.pool, "maintain_pool", None)  # not every pool has processes
        if maintain_pool is not None:
            _note_deaths(self.pool)
            hub.call_repeatedly(_LOOK_S, _end_the_overdue)
            hub.call_repeatedly(_LOOK_S, maintain_pool)


def leave_tickets(connection: Any) -> None:
    """Have a lost connection neither put back nor acknowledge the tickets that were taken over it.

    Celery lets go of the transport first, and kombu 5.7 then has no address to do either at: the
    AttributeError, which is no error of a connection, ends the worker. It does not matter what
    becomes of these tickets: the sweeper sends others wherever work waits.
    """
    channel = getattr(connection, "_default_channel", None)
    if channel is not None:
        channel.do_restore = False
        channel.basic_ack = channel.basic_reject = _leave


def _leave(*_: object, **__: object) -> None:
    """Do nothing about a ticket."""


def _note_deaths(pool: Any) -> None:
    """Have it noted how each process of the pool ended, for who takes its place."""
    processes = pool._pool  # billiard's, inside Celery's
    told = processes.on_process_down
    if getattr(told, "notes", False):  # after a reconnection
        return

    def tell(worker: Any) -> None:
        note_death(worker.pid, worker.exitcode)
        told(worker)

    tell.notes = True  # type: ignore[attr-defined] # a mark, to be known by
    processes.on_process_down = tell


def _end_the_overdue() -> None:
    for pid in overdue():
        _log.error("hanging process killed", action="hanging_killed", pid=pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
