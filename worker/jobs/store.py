"""The job store: accepts jobs, reads, lists and cancels them."""

import heapq
import time
from itertools import islice
from typing import NamedTuple

import redis
import structlog

from worker.errors import InvalidRequestError
from worker.jobs.cleaning import clean
from worker.jobs.commands import (
    FIELDS,
    expired_commands,
    job_of_values,
    log_command,
    missing,
    read_command,
    read_job,
)
from worker.jobs.keys import check_job_id, is_job_id, key
from worker.jobs.log_lines import LogLine
from worker.jobs.records import Job, Kind, Status
from worker.jobs.scripts import Scripts
from worker.jobs.submissions import Accepted, Submission, acceptance, accepted
from worker.settings import Settings

_log = structlog.get_logger(__name__)

_CLEANING_S = 1.0  # for which a cancellation deletes uploads; a sweeper does the rest
_MOST_LOG_LINES = 1000  # per job


class Page(NamedTuple):
    """A part of a listing, newest first."""

    jobs: list[Job]
    cursor: str | None  # where the next page begins; None at the end


class JobStore:
    """Jobs in Redis, as submitters and readers see them."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._scripts = Scripts(client)

    def accept(self, submission: Submission) -> Accepted:
        """Write the job in one atomic step; when this returns, it is safe.

        Raises `IdempotencyMismatchError` where the key belongs to a different request,
        `ModelSetAsideError`, `OverloadedError` where too much waits, and redis's errors where the
        job was not accepted or, if the connection broke, may not have been.
        """
        return accepted(
            submission,
            self._settings,
            self._scripts.execute(acceptance(submission, self._settings)),
        )

    def get(self, job_id: str, *, owner: str | None = None) -> Job:
        """Return the job; raise `NotFoundError`, or `GoneError` once its time has passed.

        `owner`: an API key to which there are no jobs but its own.
        """
        values = self._client.execute_command(*read_command(job_id))
        if (job := read_job(job_id, values, owner)) is not None:
            return job
        with self._client.pipeline(transaction=False) as pipe:
            for command in expired_commands(job_id, owner):
                pipe.execute_command(*command)
            raise missing(job_id, pipe.execute())

    def page(
        self,
        *,
        kind: Kind | None = None,
        status: Status | None = None,
        cursor: str | None = None,
        limit: int = 50,
        owner: str | None = None,
    ) -> Page:
        """Return jobs, newest first; raise `InvalidRequestError` where `cursor` is none.

        `owner`: an API key to which there are no jobs but its own.
        """

        def index(one: Kind, state: Status) -> str:
            if owner is None:
                return key("index", one, state)
            return key("owned", owner, one, state)

        if cursor is not None and not is_job_id(cursor):
            raise InvalidRequestError("cursor must be what `next` of the page before says.")
        kinds = [kind] if kind else list(Kind)
        statuses = [status] if status else list(Status)
        newest = b"+" if cursor is None else b"(" + cursor.encode()
        with self._client.pipeline(transaction=False) as pipe:
            for one in kinds:
                for state in statuses:
                    pipe.zrevrangebylex(index(one, state), newest, b"-", 0, limit + 1)
            runs = pipe.execute()
        # A job that changes its status between two of these reads may show up twice.
        merged = dict.fromkeys(heapq.merge(*runs, reverse=True))
        ids = [raw.decode() for raw in islice(merged, limit + 1)]
        more, ids = len(ids) > limit, ids[:limit]
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hmget(key("job", job_id), FIELDS)
            rows = pipe.execute()
        jobs = [
            job_of_values(job_id, values)
            for job_id, values in zip(ids, rows, strict=True)
            if values[0] is not None
        ]
        return Page(jobs, ids[-1] if more else None)

    def cancel(self, job_id: str, *, owner: str | None = None) -> Job:
        """Cancel the job unless it has ended, and return it as it is then; `owner` as in `get`."""
        self.get(job_id, owner=owner)
        self._scripts.run("cancel", job=job_id, result_ms=self._settings.result_ttl_s * 1000)
        clean(self._client, _CLEANING_S)
        return self.get(job_id)

    def status(self, job_id: str) -> Status | None:
        """Return only the job's status, or None where there is no record."""
        raw = self._client.hget(key("job", job_id), "status")
        return Status(raw.decode()) if raw else None

    def upload(self, job_id: str) -> bytes | None:
        """Return the image of a prediction while it is kept."""
        check_job_id(job_id)
        content: bytes | None = self._client.get(key("upload", job_id, 0))
        return content

    def add_log(self, job_id: str, *lines: str) -> None:
        """Append lines to the job's log, with the present time; those past 1,000 are dropped.

        A line that cannot be stored is dropped too: the job matters more than its log.
        """
        if not lines:
            return
        try:
            with self._client.pipeline() as pipe:
                now_ms = round(time.time() * 1000)
                pipe.rpush(
                    key("log", job_id), *(LogLine.of(line).encode_at(now_ms) for line in lines)
                )
                pipe.ltrim(key("log", job_id), 0, _MOST_LOG_LINES - 1)
                pipe.expire(key("log", job_id), self._settings.result_ttl_s + 3600)
                pipe.execute()
        except redis.RedisError as error:
            _log.warning("log line dropped", action="log_dropped", job=job_id, error=str(error))

    def log(self, job_id: str, start: int = 0) -> list[LogLine]:
        """Return the job's lines from number `start` on."""
        lines = self._client.execute_command(*log_command(job_id, start))
        return [LogLine.decode(line) for line in lines]
