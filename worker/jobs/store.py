"""The job store: accepts jobs, reads, lists and cancels them."""

import heapq
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import redis
import structlog
from ulid import ULID

from worker.errors import (
    GoneError,
    IdempotencyMismatchError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    StoreUnavailableError,
)
from worker.jobs.backlog import Backlog, Limit, overloaded
from worker.jobs.cleaning import clean
from worker.jobs.keys import check_job_id, is_job_id, key
from worker.jobs.log_lines import LogLine
from worker.jobs.records import (
    ENDED,
    Job,
    Kind,
    Lane,
    Origin,
    Pace,
    PinnedModel,
    Progress,
    Status,
    WebhookState,
)
from worker.jobs.scripts import Call, Scripts, call
from worker.jobs.uploads import StoredFile, too_much_held
from worker.models.manifest import pinned_name
from worker.models.set_aside import SetAside
from worker.settings import Settings
from worker.webhooks.targets import Target, shown_url

_log = structlog.get_logger(__name__)

TICKET_MS = 3000  # a ticket that is on its way for longer is taken for lost
NO_TARGET = "-"  # what items wait for that need no model
_CLEANING_S = 1.0  # for which a cancellation deletes uploads; a sweeper does the rest
_MOST_LOG_LINES = 1000  # per job

_FIELDS = (
    *("kind", "status", "model", "version", "sha256", "created", "started", "finished", "expires"),
    *("total", "succeeded", "failed", "attempts", "result", "error", "options", "skipped"),
    *("sealed", "before_ms", "before_done", "origin", "owner", "basis"),
    *("webhook", "webhook_state", "webhook_attempts", "webhook_error", "webhook_next"),
)


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job to accept."""

    kind: Kind
    lane: Lane
    model: PinnedModel | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    upload: bytes = b""  # the image, for a prediction
    files: tuple[StoredFile, ...] = ()  # the source's files, stored before
    keep_upload_s: float = 0.0  # how long the upload outlives the job; in a batch, its failure
    origin: Origin = Origin.WHOLE
    job_id: str | None = None  # chosen by the caller where uploads were stored under it
    idempotency_digest: str = ""  # of the client's key
    fingerprint: str = ""  # of the request, to tell a repetition from another request
    webhook: Target | None = None  # who is told when the job has ended
    client: str = ""  # for whom the uploads are counted; empty: for nobody
    client_bytes: int = 0  # that may lie in Redis for that client; 0: any
    owner: str = ""  # the API key that makes it; empty where none is needed

    @property
    def total(self) -> int:
        """Items that the job begins with."""
        return 0 if self.kind is Kind.BATCH else 1


class Accepted(NamedTuple):
    """What became of a submission."""

    job_id: str
    created: bool  # False where an idempotency key led to the first job
    ticket_needed: bool
    job: Job | None  # as it was accepted; None where an idempotency key led to the first job


class Page(NamedTuple):
    """A part of a listing, newest first."""

    jobs: list[Job]
    cursor: str | None  # where the next page begins; None at the end


def new_job_id() -> str:
    """Return a ULID in lower case: 48 bits of time and 80 random bits, in order of time."""
    return str(ULID()).lower()


def target_of(submission: Submission, job_id: str) -> str:
    """Return the name of the queue that the job's items wait in.

    Each batch has its own, so that workers take turns between batches of one model too. So has each
    digest: what a worker must leave to others is told by the queue.
    """
    model = submission.model
    if model is None:
        return NO_TARGET
    pinned = pinned_name(model.name, model.version, model.digest)
    return f"{pinned}/{job_id}" if submission.kind is Kind.BATCH else pinned


def give_up_after_ms(settings: Settings, origin: Origin) -> int:
    """Return how long a batch waits for its next image, in milliseconds."""
    if origin is Origin.REQUEST:
        return settings.stalled_upload_ttl_s * 1000
    return settings.open_batch_ttl_s * 1000


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
        return self.accepted(submission, self._scripts.execute(self.acceptance(submission)))

    def acceptance(self, submission: Submission) -> Call:
        """Return the call that accepts a job, for whoever makes it over a connection of its own."""
        model = submission.model
        limit = Limit.of(self._settings, submission.lane)
        files: list[str | int] = []
        for place, stored in enumerate(submission.files):
            files += [stored.name, f"{place}:{stored.size}:{stored.chunks}"]
        new_id = submission.job_id or new_job_id()
        return call(
            "accept",
            *files,
            job=new_id,
            kind=submission.kind.value,
            lane=submission.lane.value,
            target=target_of(submission, new_id),
            model=model.name if model else "",
            version=model.version if model else "",
            sha256=model.sha256 if model else "",
            options=json.dumps(dict(submission.options), separators=(",", ":")),
            keep_upload_ms=round(submission.keep_upload_s * 1000),
            ticket_ms=TICKET_MS,
            idempotency_digest=submission.idempotency_digest,
            fingerprint=submission.fingerprint,
            idempotency_ms=self._settings.idempotency_ttl_s * 1000,
            upload=submission.upload,
            total=submission.total,
            origin=submission.origin.value,
            give_up_ms=give_up_after_ms(self._settings, submission.origin),
            most_waiting=limit.depth,
            oldest_ms=round(limit.age_s * 1000),
            webhook=submission.webhook.url if submission.webhook else "",
            webhook_host=submission.webhook.host if submission.webhook else "",
            most_webhooks=self._settings.webhook_max_waiting,
            client=submission.client,
            client_bytes=submission.client_bytes,
            owner=submission.owner,
            basis=model.basis if model else "",
        )

    def accepted(self, submission: Submission, answer: Any) -> Accepted:
        """Return what became of a submission by the script's answer; raises as `accept` does."""
        job_id, state, more, last = answer
        if state == -2:
            limit = Limit.of(self._settings, submission.lane)
            raise overloaded(submission.lane, Backlog(depth=more, age_s=last / 1000), limit)
        if state == -3 and submission.webhook:
            raise OverloadedError(
                f"{more} webhooks wait for {submission.webhook.host}, which does not take them: "
                "put that right, or submit without a webhook."
            )
        if state == -4:
            size, most = len(submission.upload), submission.client_bytes
            raise too_much_held(held=more, more=size, most=most)
        if state == -5:
            raise StoreUnavailableError(
                "The upload took so long that it was given up: send it again."
            )
        if state == -6 and submission.model is not None:
            raise SetAside.parse(more).error(submission.model.name, submission.model.version)
        if state == -1:
            raise IdempotencyMismatchError(
                f"This Idempotency-Key was used before for another request (job {job_id.decode()}):"
                " use a new key."
            )
        job = None
        if state == 1:
            job = Job(
                id=job_id.decode(),
                kind=submission.kind,
                status=Status.QUEUED,
                model=submission.model,
                created_ms=last,
                started_ms=None,
                finished_ms=None,
                expires_ms=None,
                progress=Progress(
                    total=submission.total, succeeded=0, failed=0, sealed=submission.total == 1
                ),
                attempts=0,
                result=None,
                error=None,
                options=dict(submission.options),
                origin=submission.origin,
                webhook=WebhookState(url=submission.webhook.shown) if submission.webhook else None,
                owner=submission.owner,
            )
        return Accepted(job_id.decode(), state == 1, more == 1, job)

    def get(self, job_id: str, *, owner: str | None = None) -> Job:
        """Return the job; raise `NotFoundError`, or `GoneError` once its time has passed.

        `owner`: an API key to which there are no jobs but its own.
        """
        values = self._client.execute_command(*read_command(job_id))
        if (job := job_read(job_id, values, owner)) is not None:
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
                pipe.hmget(key("job", job_id), _FIELDS)
            rows = pipe.execute()
        jobs = [
            _job(job_id, _row(values))
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
        """Append lines, told now, to what the job reports; those past 1,000 are dropped.

        A line that cannot be stored is dropped too: what a job does is worth more than what it
        says of it.
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


# -- reading one job, for whoever asks Redis over a connection of its own ----------------------


def read_command(job_id: str) -> tuple[str, ...]:
    """Return the command that reads a job; raise `NotFoundError` where it cannot be one's id."""
    return ("HMGET", key("job", check_job_id(job_id)), *_FIELDS)


def job_read(job_id: str, values: Sequence[bytes | None], owner: str | None) -> Job | None:
    """Return the job of the command's answer, or None where there is none.

    Raises `NotFoundError` where it is not `owner`'s.
    """
    if values[0] is None:
        return None
    job = _job(job_id, _row(values))
    if owner not in (None, job.owner):
        raise NotFoundError(f"There is no job '{job_id}'.")
    return job


def log_command(job_id: str, start: int) -> tuple[str | int, ...]:
    """Return the command that reads the lines of a job's log from number `start` on."""
    return ("LRANGE", key("log", job_id), start, -1)


def expired_commands(job_id: str, owner: str | None) -> list[tuple[str, ...]]:
    """Return the commands that tell whether there was a job that is forgotten.

    Or one whose record expired by itself.
    """
    if owner is not None:
        return [("ZSCORE", key("expired"), f"{job_id}:{owner}")]
    return [("ZSCORE", key("expired"), job_id), ("ZSCORE", key("expiry"), job_id)]


def missing(job_id: str, answers: Sequence[Any]) -> GoneError | NotFoundError:
    """Return the error that there is no such job, by the answers to these commands."""
    if any(answer is not None for answer in answers):
        return GoneError(f"Job {job_id} has expired: results are kept for a limited time.")
    return NotFoundError(f"There is no job '{job_id}'.")


def _pace(number: Callable[[str], int | None]) -> Pace | None:
    since = number("before_ms")
    if since is None:
        return None
    return Pace(since_ms=since, done_then=number("before_done") or 0, until_ms=number("finished"))


def _webhook(row: Mapping[str, str | None], number: Callable[[str], int | None]) -> Any:
    url = row["webhook"]
    if not url:
        return None
    return WebhookState(
        url=shown_url(url),
        state=row["webhook_state"],
        attempts=number("webhook_attempts") or 0,
        last_error=row["webhook_error"],
        next_attempt_ms=number("webhook_next"),
    )


def told(job_id: str, record: bytes) -> Job:
    """Return the job of a record that came with its ending: names and values in turn, as JSON."""
    flat = json.loads(record)
    return _job(job_id, dict(zip(flat[::2], flat[1::2], strict=True)))


def _row(values: Sequence[bytes | None]) -> dict[str, str]:
    pairs = zip(_FIELDS, values, strict=True)
    return {name: value.decode() for name, value in pairs if value is not None}


def _job(job_id: str, fields: dict[str, str]) -> Job:
    row = defaultdict[str, str | None](lambda: None, fields)

    def number(name: str) -> int | None:
        value = row[name]
        return int(value) if value else None

    model = None
    if row["model"]:
        model = PinnedModel(
            name=row["model"],
            version=number("version") or 0,
            sha256=row["sha256"] or "",
            basis=row["basis"] or "",
        )
    status = Status(row["status"] or "")
    return Job(
        id=job_id,
        kind=Kind(row["kind"] or ""),
        status=status,
        model=model,
        created_ms=number("created") or 0,
        started_ms=number("started"),
        finished_ms=number("finished"),
        expires_ms=number("expires") if status in ENDED else None,
        progress=Progress(
            total=number("total") or 0,
            succeeded=number("succeeded") or 0,
            failed=number("failed") or 0,
            skipped=number("skipped") or 0,
            sealed=row["kind"] != Kind.BATCH or row["sealed"] == "1",
            pace=_pace(number),
        ),
        attempts=number("attempts") or 0,
        result=json.loads(row["result"]) if row["result"] else None,
        error=json.loads(row["error"]) if row["error"] else None,
        options=json.loads(row["options"] or "{}"),
        origin=Origin(row["origin"] or Origin.WHOLE),
        webhook=_webhook(row, number),
        owner=row["owner"] or "",
    )
