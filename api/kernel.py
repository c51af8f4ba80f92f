"""What the views need of the kernel, made once per application."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import cast

import redis
import structlog
from flask import current_app

from api.authentication import Authentication
from api.keeping import Keeper
from worker.broker import celery_app
from worker.connection import connect
from worker.errors import OverloadedError
from worker.jobs.backlog import Limit, backlogs, overloaded
from worker.jobs.batches import Batches
from worker.jobs.endings import Ending, Endings
from worker.jobs.keys import key
from worker.jobs.rates import Rates
from worker.jobs.records import Job, Lane
from worker.jobs.room import Room, room, room_told
from worker.jobs.roster import Roster
from worker.jobs.shares import too_much_held
from worker.jobs.store import Accepted, JobStore, Submission, new_job_id, told
from worker.jobs.tickets import send_ticket
from worker.models.registry import Registry
from worker.models.set_aside import SetAside, SetAsideVersions
from worker.settings import Settings
from worker.webhooks.deliveries import Deliveries

_log = structlog.get_logger(__name__)

# Redis is on the same machine or in the same rack; a client is told within 5 s that it is not.
_STORE_TIMEOUT_S = 2.0
_KEY_TIMEOUT_S = 1.0  # of what is asked about a request's key, before anything else is
_TICKET_TIMEOUT_S = 1.0
_LOOK_AGAIN_S = 1.0  # between looks at a record that someone waits for, in case a wake-up is lost
_MEMORY_CHECK_S = 0.5  # between looks at how full Redis is


class Kernel:
    """The job store, the registry and the roster, and how to wait for a job."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = connect(settings, timeout_s=_STORE_TIMEOUT_S)
        self.store = JobStore(self.client, settings)
        self.batches = Batches(self.client, settings)
        self.registry = Registry(settings.models_folder)
        self.set_aside = SetAsideVersions(self.client, settings)
        self.roster = Roster(self.client, settings)
        self.rates = Rates(self.client, settings)
        self._key_client = connect(settings, timeout_s=_KEY_TIMEOUT_S)
        self.authentication = Authentication(self._key_client, settings)
        self._broker = celery_app(settings, timeout_s=_TICKET_TIMEOUT_S)
        self._endings = Endings(lambda: connect(settings, timeout_s=10))
        self._places = threading.BoundedSemaphore(settings.max_waiting or 1)
        self._memory_checked = float("-inf")
        self._room = 0.0  # bytes, when it was checked
        self._limit = float("inf")  # of bytes, of which that is what is left
        self._keeper = Keeper(self.batches.keep, settings.stalled_upload_ttl_s / 4)

    def close(self) -> None:
        """Let go of all connections, once nothing is served any more."""
        self._endings.close()
        self._broker.close()
        self._key_client.close()
        self.client.close()

    def submit(self, submission: Submission, *, wait_s: float = 0.0) -> Accepted:
        """Accept a job and send its ticket; raise `OverloadedError` while Redis is too full.

        With `wait_s` a new job is followed for so long, and what is returned is how it stands then,
        or stood when something was last heard of it: once it is accepted nothing here fails.
        """
        self.check_room(len(submission.upload))
        submission = replace(submission, client_bytes=self.client_bytes())
        if wait_s <= 0 or not self.take_place():
            return self._accept(submission)
        try:
            # Watched before it exists, so that nothing has to be read to know how it stands.
            submission = replace(submission, job_id=submission.job_id or new_job_id())
            with self.watch(str(submission.job_id)) as ending:
                accepted = self._accept(submission)
                if accepted.job is None:
                    return accepted
                try:
                    job = self._follow(accepted.job, ending, self._until(wait_s))
                except redis.RedisError as error:
                    _log.warning("store error", action="store_error", error=str(error))
                    return accepted
                return accepted._replace(job=job)
        finally:
            self.leave_place()

    def take_up(self, submission: Submission, until: float) -> Accepted:
        """Accept a job that may have been accepted before under its id, and follow it.

        It is followed until a monotonic time.
        """
        accepted = self._accept(replace(submission, client_bytes=self.client_bytes()))
        try:
            return accepted._replace(job=self.wait_for(accepted.job_id, until - time.monotonic()))
        except redis.RedisError as error:
            _log.warning("store error", action="store_error", error=str(error))
            return accepted

    def _accept(self, submission: Submission) -> Accepted:
        """Accept a job and send its ticket.

        One that cannot be sent is logged only: the job is safe, and a sweeper sends another.
        """
        accepted = self.store.accept(submission)
        if accepted.ticket_needed:
            self.ticket(submission.lane)
        return accepted

    def ticket(self, lane: Lane) -> None:
        """Send a ticket; one that cannot be sent is left to the sweeper."""
        try:
            send_ticket(self._broker, lane)
        except Exception as error:  # kombu raises errors of many libraries
            _log.warning("ticket not sent", action="ticket_not_sent", error=str(error))

    def check_room(self, more_bytes: int = 0) -> None:
        """Raise `OverloadedError` where Redis would hold more than its share of `maxmemory`."""
        if not self.knows_room():
            self._note_room(room(self.client, self.settings.memory_limit_share))
        if not self.has_room(more_bytes):
            raise _almost_full()

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

    def note_memory(self, info: bytes) -> None:
        """Take note of what Redis answered to `INFO memory`."""
        self._note_room(room_told(info, self.settings.memory_limit_share))

    def has_room(self, more_bytes: int) -> bool:
        """Whether there is room for so much more, as far as is known; if so it is taken."""
        if more_bytes > self._room:
            return False
        self._room -= more_bytes
        return True

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

    def _note_room(self, room: Room) -> None:
        self._limit, self._room = room
        self._memory_checked = time.monotonic()

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

    def take_place(self) -> bool:
        """Take one of the places for requests that hold a thread, or return False.

        They are bounded so that threads remain for everything else. A place that was taken must be
        left again.
        """
        return self.settings.max_waiting > 0 and self._places.acquire(blocking=False)

    def leave_place(self) -> None:
        """Leave a place that was taken."""
        self._places.release()

    def wait_for(self, job_id: str, seconds: float, *, owner: str | None = None) -> Job:
        """Return the job once it has ended, or as it is when the time is up or no place is free.

        `owner`: an API key to which there are no jobs but its own.
        """
        until = self._until(seconds)
        job = self.store.get(job_id, owner=owner)
        if job.status.ended or seconds <= 0:
            return job
        if not self.take_place():
            return job
        try:
            with self.watch(job_id) as ending:
                return self._follow(self.store.get(job_id), ending, until)
        finally:
            self.leave_place()

    def _until(self, seconds: float) -> float:
        return time.monotonic() + min(seconds, self.settings.max_wait_s)

    def _follow(self, job: Job, ending: Ending, until: float) -> Job:
        """Return the job once it has ended, or as it is at a time."""
        while not job.status.ended and (left := until - time.monotonic()) > 0:
            if ending.wait(min(left, _LOOK_AGAIN_S)):
                if ending.record:
                    return told(job.id, ending.record)
                ending.clear()
            job = self.store.get(job.id)
        return job

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Ending]:
        """Give an event that is set when it is time to look at the job again."""
        with self._endings.watch(job_id) as event:
            yield event


def _almost_full() -> OverloadedError:
    return OverloadedError(
        "The queue's memory is almost full, so nothing new is accepted until workers have caught "
        "up: try again later."
    )


def kernel() -> Kernel:
    """Return the kernel of the application that serves this request."""
    return cast("Kernel", current_app.extensions["kernel"])
