"""What the views need, made once per application."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, cast

import redis
import structlog
from flask import current_app

from api.services.heartbeat import Keeper
from api.services.loop_runner import Portal
from worker.credentials.key_store import KeyStore
from worker.credentials.sessions import Sessions
from worker.errors import OverloadedError
from worker.jobs.backlog import Limit, backlogs, overloaded
from worker.jobs.batches import Batches
from worker.jobs.broker import celery_app
from worker.jobs.keys import key
from worker.jobs.records import Lane
from worker.jobs.roster import Roster
from worker.jobs.shares import too_much_held
from worker.jobs.store import Accepted, JobStore, Submission
from worker.jobs.tickets import send_ticket
from worker.models.registry import Registry
from worker.models.set_aside import SetAside, SetAsideVersions
from worker.redis.connection import connect
from worker.redis.memory import room_told
from worker.settings import Settings
from worker.webhooks.deliveries import Deliveries

_log = structlog.get_logger(__name__)

# Redis is on the same machine or in the same rack; a client is told within 5 s that it is not.
STORE_TIMEOUT_S = 2.0
_TICKET_TIMEOUT_S = 1.0
_MEMORY_CHECK_S = 0.5  # between looks at how full Redis is


class Kernel:
    """The job store, the registry and the roster, for threads; `portal` leads to the event loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = connect(settings, timeout_s=STORE_TIMEOUT_S)
        self.store = JobStore(self.client, settings)
        self.batches = Batches(self.client, settings)
        self.registry = Registry(settings.models_folder)
        self.set_aside = SetAsideVersions(self.client, settings)
        self.roster = Roster(self.client, settings)
        self.keys = KeyStore(self.client)
        self.sessions = Sessions(self.client, settings.session_ttl_s)
        self.portal = Portal(self)
        self._broker = celery_app(settings, timeout_s=_TICKET_TIMEOUT_S)
        self._memory_checked = float("-inf")
        self._room = 0.0  # bytes, when it was checked
        self._limit = float("inf")  # of bytes, of which that is what is left
        self._keeper = Keeper(self.batches.keep, settings.stalled_upload_ttl_s / 4)

    def close(self) -> None:
        """Let go of all connections, once nothing is served any more."""
        self.portal.close()
        self._broker.close()
        self.client.close()

    def submit(self, submission: Submission) -> Accepted:
        """Accept a job and send its ticket; raise `OverloadedError` while Redis is too full."""
        self.check_room(len(submission.upload))
        accepted = self.store.accept(replace(submission, client_bytes=self.client_bytes()))
        if accepted.ticket_needed:
            self.ticket(submission.lane)
        return accepted

    def ticket(self, lane: Lane) -> None:
        """Send a ticket; one that cannot be sent is left to the sweeper, for the job is safe."""
        try:
            send_ticket(self._broker, lane)
        except Exception as error:  # kombu raises errors of many libraries
            _log.warning("ticket not sent", action="ticket_not_sent", error=str(error))

    def check_room(self, more_bytes: int = 0) -> None:
        """Raise `OverloadedError` where Redis would hold more than its share of `maxmemory`."""
        if not self.knows_room():
            self.note_memory(self.client.info("memory"))
        self.take_room(more_bytes)

    def versions_set_aside(self) -> dict[str, SetAside]:
        """Return the versions that are set aside; none while Redis does not answer.

        What is on disk can be told all the same, and accepting a job looks once more.
        """
        try:
            return self.set_aside.all()
        except redis.RedisError as error:
            _log.warning("store error", action="store_error", error=str(error))
            return {}

    def knows_room(self) -> bool:
        """Whether it is known well enough how full Redis is."""
        return time.monotonic() - self._memory_checked <= _MEMORY_CHECK_S

    def note_memory(self, memory: Mapping[str, Any]) -> None:
        """Take note of what Redis answered to `INFO memory`."""
        self._limit, self._room = room_told(memory, self.settings.memory_limit_share)
        self._memory_checked = time.monotonic()

    def take_room(self, more_bytes: int) -> None:
        """Take room for so much more, as far as is known; raise `OverloadedError`."""
        if more_bytes > self._room:
            raise _almost_full()
        self._room -= more_bytes

    def client_bytes(self) -> int:
        """Return how much may lie in Redis for one client, as far as is known; 0: any."""
        share = self.settings.client_memory_share
        if not 0 < share < 1 or self._limit == float("inf"):
            return 0
        return max(1, int(self._limit * share))

    def webhooks_waiting(self) -> int:
        """Return how many webhooks wait for an attempt or are being sent."""
        return Deliveries(self.client, self.settings).waiting()

    def keeping(self, job_id: str) -> AbstractContextManager[None]:
        """Say for as long as this lasts that a request brings the images of a batch."""
        return self._keeper.keeping(job_id)

    def check_open(self, lane: Lane, client: str = "", more_bytes: int = 0) -> None:
        """Raise `OverloadedError` where nothing new is accepted in a lane, or not so much.

        Raises `ShareExceededError` where too much waits for a client. For requests with large
        bodies, which are better refused before they are read; accepting looks once more.
        """
        self.check_room()
        if more_bytes > self._room:
            raise _almost_full()
        most = self.client_bytes()
        held = int(self.client.hget(key("held"), client) or 0) if most and client else 0
        if most and (held >= most or held + more_bytes > most):
            raise too_much_held(held=held, more=more_bytes, most=most)
        limit, backlog = Limit.of(self.settings, lane), backlogs(self.client)[lane]
        if limit.reached(backlog):
            raise overloaded(lane, backlog, limit)


def _almost_full() -> OverloadedError:
    return OverloadedError(
        "The queue's memory is almost full, so nothing new is accepted until workers have caught "
        "up: try again later."
    )


def kernel() -> Kernel:
    """Return the kernel of the application that serves this request."""
    return cast("Kernel", current_app.extensions["kernel"])
