"""The short way of a plain prediction that is waited for: no thread, no Flask, one round to Redis.

Most of what `POST /v1/predictions` costs the API is not the work: it is a thread that is woken to
begin and once more to answer, Flask finding out what is meant, and questions to Redis that wait for
their answers one by one. Here the loop that reads the requests (`api.patience`) reads the plain
ones whole, accepts all that have arrived together, hears of their endings and answers them itself.

A job is accepted by the same script with the same arguments, so that it is as durable and as
limited as any other. Whatever is not plain or does not go well takes the long way through Flask:
before acceptance as if nothing had happened, later under the same id, by which accepting it again
finds the first. So no error is worded here.
"""

import heapq
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial
from typing import Any, Protocol

import redis
import structlog
from flask import Flask

from api import permissions
from api.access import Access
from api.answers import ended_prediction
from api.authentication import Authentication, secret_in
from api.begun import Begun
from api.headers import ALWAYS, NOT_KEPT
from api.kernel import Kernel
from api.limits import client_name, key_name
from api.lines import Lines, Loop
from api.plain_request import plain_request
from api.predictions import submission_of
from worker.credentials.api_key import Grant, digest_of
from worker.credentials.key_store import read_grant
from worker.errors import PermafrostError, RateLimitedError
from worker.jobs.endings import ID_BYTES
from worker.jobs.records import Job, Lane
from worker.jobs.store import Submission, new_job_id, told

_log = structlog.get_logger(__name__)

_HEADERS = "".join(f"{name}: {value}\r\n" for name, value in ALWAYS.items()) + (
    f"Cache-Control: {NOT_KEPT}\r\n"
)
_ENDPOINT = "predictions.create"  # that these requests would come to in Flask


class Client(Protocol):
    """A connection of a client."""

    client: Any  # its address as Python's sockets say it
    begun: Begun | None

    @property
    def received(self) -> bytearray:
        """What was received of its request."""


class ClientLoop(Loop, Protocol):
    """The loop that reads what clients send."""

    def answer(self, client: Any, response: bytes) -> None:
        """Send a response, then wait for the client's next request."""

    def go_the_long_way(self, client: Any) -> None:
        """Handle the client's request in a thread, through Flask."""


def _address(client: Client) -> str | None:
    """Return the address that a client connects from; None for a unix socket."""
    address = client.client
    return str(address[0]) if isinstance(address, tuple) else None


@dataclass(eq=False)
class _Waiting:
    """A request of which the job is accepted or about to be."""

    client: Client
    applied_s: float  # of what the client would wait
    until: float
    begun: bool = False  # from when on it may be accepted


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What is known of who sent a request."""

    owner: str = ""  # of the job; empty where no key is needed
    digest: str = ""  # of a key that Redis must be asked for
    asks: bool = False  # whether Redis must be asked if a key is needed


def _submitter(grant: Grant) -> str:
    """Return the key that owns what is submitted; raise where the long way must be taken."""
    permissions.check(grant, _ENDPOINT)
    if grant.rate is not None:
        raise RateLimitedError("Whoever has a rate of its own is counted on the long way.", 1)
    return grant.key


def _owned(submission: Submission, owner: str) -> Submission:
    """Return a submission as that of the key that owns it, for which it is counted, too."""
    return replace(submission, owner=owner, client=key_name(owner)) if owner else submission


def _note_use(authentication: Authentication, grant: Grant) -> None:
    with suppress(redis.RedisError):
        authentication.keys.note_use(grant.key)


class Express:
    """Accepts and answers plain predictions in the loop of one process."""

    def __init__(self, kernel: Kernel, access: Access, loop: ClientLoop) -> None:
        self._kernel = kernel
        self._access = access
        self._loop = loop
        self._lines = Lines(kernel.settings, loop, told=self._ended, broken=self._all_the_long_way)
        self._waiting: dict[str, _Waiting] = {}
        self._times: list[tuple[float, str]] = []  # a heap of until when, and job
        self._behind: list[Callable[[], object]] = []  # what begins once Redis's memory is known
        self._leaving = False
        self._date: tuple[int, str] = (0, "")

    @classmethod
    def of(cls, app: Flask, loop: ClientLoop) -> "Express | None":
        """Return the short way into an application, or None where it must not be taken.

        Clients are counted by Flask, and where nobody may wait nobody does.
        """
        kernel: Kernel = app.extensions["kernel"]
        if kernel.settings.client_rate > 0 or kernel.settings.max_waiting == 0:
            return None
        if os.environ.get("SCRIPT_NAME"):  # links begin with it
            return None
        return cls(kernel, app.extensions["access"], loop)

    def take(self, client: Client) -> bool:
        """Take a request that has arrived, or leave it to the long way."""
        try:
            return self._take(client)
        except Exception as error:  # the loop must outlive whatever this request meets
            _log.error("short way failed", action="short_way_failed", exc_info=error)
            self.forget(client)
            return False

    def _take(self, client: Client) -> bool:
        settings = self._kernel.settings
        ask = plain_request(client.received, settings.max_image_bytes)
        if ask is None or not self._access.allows(ask.host):
            return False
        if self._leaving or not self._lines.open():
            return False
        try:
            allowed = self._allowed(ask.authorization)
            submission = submission_of(
                self._kernel,
                ask.image,
                model=ask.model,
                top=ask.top,
                job_id=new_job_id(),
                client=client_name(_address(client)),
            )
        except PermafrostError:  # the long way says what is wrong
            return False
        job_id = str(submission.job_id)
        applied_s = min(ask.wait_s, settings.max_wait_s)
        until = time.monotonic() + applied_s
        self._waiting[job_id] = _Waiting(client, applied_s, until)
        heapq.heappush(self._times, (until, job_id))
        if allowed.digest:
            known = partial(self._grant_known, job_id, submission, allowed.digest)
            self._lines.ask_for_grant(known, allowed.digest)
        elif allowed.asks:
            self._lines.ask_whether_guarded(partial(self._guard_known, job_id, submission))
        else:
            self._go_on(job_id, _owned(submission, allowed.owner))
        return True

    # -- who may: `api.authentication` finds it out, asking Redis once a second for each key -------

    def _allowed(self, authorization: str) -> "_Allowed":
        """Return whose request it is or what must be asked; raise where the long way refuses it."""
        authentication = self._kernel.authentication
        required = authentication.known_to_be_required()
        if required is None:
            return _Allowed(asks=True)
        if not required:
            return _Allowed()
        digest = digest_of(secret_in(authorization))
        grant = authentication.at_once(digest)
        return _Allowed(digest=digest) if grant is None else _Allowed(owner=_submitter(grant))

    def _guard_known(self, job_id: str, submission: Submission, answer: Any) -> None:
        if isinstance(answer, int):
            self._kernel.authentication.note_guarded(bool(answer))
        if self._kernel.authentication.known_to_be_required() is False:
            self._go_on(job_id, submission)
        else:
            self._go_the_long_way(job_id)

    def _grant_known(self, job_id: str, submission: Submission, digest: str, answer: Any) -> None:
        authentication = self._kernel.authentication
        try:
            found = read_grant(answer if isinstance(answer, bytes) else None)
            grant = authentication.noted(digest, found)
            owner = _submitter(grant)
        except PermafrostError:  # the long way says what is wrong
            self._go_the_long_way(job_id)
            return
        if authentication.due_note(grant):
            self._loop.in_thread(partial(_note_use, authentication, grant))
        self._go_on(job_id, _owned(submission, owner))

    def _go_on(self, job_id: str, submission: Submission) -> None:
        if self._kernel.knows_room():
            self._begin(job_id, submission)
        else:
            if not self._behind:
                self._lines.look_at_memory(self._memory_known)
            self._behind.append(partial(self._begin, job_id, submission))

    def forget(self, client: Client) -> None:
        """Answer a client no more that has gone; its job is done all the same."""
        self._waiting.pop(self._job_of(client), None)

    def give_up(self, client: Client) -> None:
        """Send a request the long way."""
        self._go_the_long_way(self._job_of(client))

    def leave(self, within_s: float) -> None:
        """Take nothing more, and wait for what was taken only so much longer."""
        self._leaving = True
        until = time.monotonic() + within_s
        for job_id, waiting in self._waiting.items():
            if waiting.until > until:
                waiting.until = until
                heapq.heappush(self._times, (until, job_id))

    def turn(self) -> None:
        """Do what is due at the end of a turn of the loop."""
        now = time.monotonic()
        while self._times and (self._times[0][0] <= now or self._times[0][1] not in self._waiting):
            self._go_the_long_way(heapq.heappop(self._times)[1])
        self._lines.turn(watch=bool(self._waiting))

    def due_s(self, most: float) -> float:
        """Return the seconds until a turn is due, at most `most`."""
        if not self._times:
            return most
        return max(0.0, min(most, self._times[0][0] - time.monotonic()))

    def _begin(self, job_id: str, submission: Submission) -> None:
        waiting = self._waiting.get(job_id)
        if waiting is None:
            return
        if not self._kernel.has_room(len(submission.upload)):
            self._go_the_long_way(job_id)
            return
        waiting.begun = True
        submission = replace(submission, client_bytes=self._kernel.client_bytes())
        call = self._kernel.store.acceptance(submission)
        self._lines.accept(partial(self._accepted, job_id), call.arguments)

    def _memory_known(self, answer: Any) -> None:
        behind, self._behind = self._behind, []
        if isinstance(answer, bytes):
            self._kernel.note_memory(answer)
        for begin in behind:
            begin()

    # -- what is heard of a job -----------------------------------------------------------------

    def _accepted(self, job_id: str, answer: Any) -> None:
        if not isinstance(answer, list) or answer[1] != 1:  # refused; the long way says why
            self._go_the_long_way(job_id)
        elif answer[2] == 1:
            self._loop.in_thread(partial(self._kernel.ticket, Lane.INTERACTIVE))

    def _ended(self, message: bytes) -> None:
        job_id = message[:ID_BYTES].decode("ascii")
        waiting = self._waiting.pop(job_id, None)
        if waiting is not None:
            job = told(job_id, message[ID_BYTES:])
            self._loop.answer(waiting.client, self._response(job, waiting.applied_s))

    def _job_of(self, client: Client) -> str:
        return next((job for job, one in self._waiting.items() if one.client is client), "")

    def _all_the_long_way(self) -> None:
        # Each of these has waited for Redis already: what is known of keys has to do for them.
        self._kernel.authentication.note_silence()
        self._behind.clear()
        for job_id in list(self._waiting):
            self._go_the_long_way(job_id)

    def _go_the_long_way(self, job_id: str) -> None:
        waiting = self._waiting.pop(job_id, None)
        if waiting is not None:
            waiting.client.begun = Begun(job_id, waiting.until) if waiting.begun else None
            self._loop.go_the_long_way(waiting.client)

    def _response(self, job: Job, applied_s: float) -> bytes:
        """Return what Flask and gunicorn answer for a job that has ended in time."""
        body = ended_prediction(job)
        return (
            "HTTP/1.1 200 OK\r\n"
            f"Server: gunicorn\r\nDate: {self._now()}\r\nConnection: keep-alive\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Location: /v1/jobs/{job.id}\r\nPreference-Applied: wait={applied_s:g}\r\n"
            f"{_HEADERS}\r\n"
        ).encode("ascii") + body

    def _now(self) -> str:
        """Return the time as HTTP spells it (RFC 9110, section 5.6.7)."""
        second = int(time.time())
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]
