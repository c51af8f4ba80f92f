"""Submissions: jobs to accept, and the answers to accepting them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ulid import ULID

from worker.errors import IdempotencyMismatchError, OverloadedError, StoreUnavailableError
from worker.jobs.backlog import Backlog, Limit, overloaded
from worker.jobs.records import (
    Job,
    JobProgress,
    Kind,
    Lane,
    Origin,
    PinnedModel,
    Status,
    WebhookState,
)
from worker.jobs.scripts import Call, call
from worker.jobs.tickets import TICKET_MS
from worker.jobs.uploads import StoredFile, too_much_held
from worker.models.manifest import pinned_name
from worker.models.set_aside import SetAside
from worker.settings import Settings
from worker.webhooks.targets import Target

NO_TARGET = "-"  # what items wait for that need no model


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
    webhook: Target | None = None  # the receiver to which the end of the job is sent
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


def new_job_id() -> str:
    """Return a ULID in lower case: 48 bits of time and 80 random bits, in order of time."""
    return str(ULID()).lower()


def target_of(submission: Submission, job_id: str) -> str:
    """Return the name of the queue that the job's items wait in.

    Each batch has a queue of its own, so that workers also alternate between batches of one model.
    So has each digest, so that a worker can leave versions to others by their queues.
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


def acceptance(submission: Submission, settings: Settings) -> Call:
    """Return the call of the script that accepts a job."""
    model = submission.model
    limit = Limit.of(settings, submission.lane)
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
        idempotency_ms=settings.idempotency_ttl_s * 1000,
        upload=submission.upload,
        total=submission.total,
        origin=submission.origin.value,
        give_up_ms=give_up_after_ms(settings, submission.origin),
        most_waiting=limit.depth,
        oldest_ms=round(limit.age_s * 1000),
        webhook=submission.webhook.url if submission.webhook else "",
        webhook_host=submission.webhook.host if submission.webhook else "",
        most_webhooks=settings.webhook_max_waiting,
        client=submission.client,
        client_bytes=submission.client_bytes,
        owner=submission.owner,
        basis=model.basis if model else "",
    )


def accepted(submission: Submission, settings: Settings, answer: Any) -> Accepted:
    """Return what became of a submission, by the script's answer.

    Raises what `JobStore.accept` raises.
    """
    job_id, state, more, last = answer
    if state == -2:
        limit = Limit.of(settings, submission.lane)
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
        raise StoreUnavailableError("The upload took so long that it was given up: send it again.")
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
            progress=JobProgress(
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
