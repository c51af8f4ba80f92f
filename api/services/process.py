"""What requests share that are answered in threads, made once per application.

`api.services.loop` has the same for requests that are answered in the event loop.
"""

from dataclasses import replace
from typing import cast

import redis
import structlog
from flask import current_app

from api.services.heartbeat import BatchHeartbeat
from api.services.loop import LoopServices
from api.services.loop_runner import LoopRunner
from api.services.memory import StoreMemory
from api.services.pipeline import STORE_TIMEOUT_S
from worker.credentials.key_store import KeyStore
from worker.credentials.sessions import Sessions
from worker.jobs.backlog import Limit, backlogs, overloaded
from worker.jobs.batches import Batches
from worker.jobs.broker import celery_app
from worker.jobs.keys import key
from worker.jobs.records import Lane
from worker.jobs.roster import Roster
from worker.jobs.store import JobStore
from worker.jobs.submissions import Accepted, Submission
from worker.jobs.tickets import send_ticket
from worker.jobs.uploads import too_much_held
from worker.models.registry import Registry
from worker.models.set_aside import SetAside, SetAsideVersions
from worker.redis.connection import connect
from worker.settings import Settings

_log = structlog.get_logger(__name__)

_TICKET_TIMEOUT_S = 1.0


class Services:
    """The job store, the registry and the rest, for threads; `loop` leads to the event loop."""

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
        self.memory = StoreMemory(settings)
        self.heartbeat = BatchHeartbeat(self.batches.keep, settings.stalled_upload_ttl_s / 4)
        self.loop = LoopRunner(lambda: LoopServices(settings, self.memory, self.send_ticket))
        self._broker = celery_app(settings, timeout_s=_TICKET_TIMEOUT_S)

    def close(self) -> None:
        """Close all connections; no request may be served after this."""
        self.loop.close()
        self._broker.close()
        self.client.close()

    def submit(self, submission: Submission) -> Accepted:
        """Accept a job and send its ticket; raise `OverloadedError` while Redis is too full."""
        self.reserve_memory(len(submission.upload))
        accepted = self.store.accept(replace(submission, client_bytes=self.memory.client_bytes()))
        if accepted.ticket_needed:
            self.send_ticket(submission.lane)
        return accepted

    def send_ticket(self, lane: Lane) -> None:
        """Send a ticket; one that cannot be sent is left to the sweeper, for the job is safe."""
        try:
            send_ticket(self._broker, lane)
        except Exception as error:  # kombu raises errors of many libraries
            _log.warning("ticket not sent", action="ticket_not_sent", error=str(error))

    def reserve_memory(self, more_bytes: int = 0) -> None:
        """Raise `OverloadedError` where Redis would hold more than its share of `maxmemory`."""
        if not self.memory.is_fresh():
            self.memory.note(self.client.info("memory"))
        self.memory.reserve(more_bytes)

    def check_accepting(self, lane: Lane, client: str = "", more_bytes: int = 0) -> None:
        """Raise `OverloadedError` where nothing new is accepted in a lane, or not so much.

        Raises `ShareExceededError` where too much waits for a client. For requests with large
        bodies, which are better refused before they are read; accepting looks once more.
        """
        self.reserve_memory()
        self.memory.check(more_bytes)
        most = self.memory.client_bytes()
        held = int(self.client.hget(key("held"), client) or 0) if most and client else 0
        if most and (held >= most or held + more_bytes > most):
            raise too_much_held(held=held, more=more_bytes, most=most)
        limit, backlog = Limit.of(self.settings, lane), backlogs(self.client)[lane]
        if limit.reached(backlog):
            raise overloaded(lane, backlog, limit)

    def versions_set_aside(self) -> dict[str, SetAside]:
        """Return the versions that are set aside; none while Redis does not answer.

        The registry can be shown without them, and accepting a job looks once more.
        """
        try:
            return self.set_aside.all()
        except redis.RedisError as error:
            _log.warning("store error", action="store_error", error=str(error))
            return {}


def services() -> Services:
    """Return the services of the application that serves this request."""
    return cast("Services", current_app.extensions["services"])
