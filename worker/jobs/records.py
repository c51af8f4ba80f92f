"""What a job is: its kinds, its states and its record."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from worker.printable import shown_url


class Kind(StrEnum):
    """What a job does."""

    PREDICTION = "prediction"  # classifies one image
    BATCH = "batch"  # classifies many images
    FREEZE = "freeze"  # freezes a source and publishes the graph
    INSPECTION = "inspection"  # says what is in a source
    COMPARISON = "comparison"  # tries ways of preparing images for a model


# Done by processes that say what they are doing.
WITH_LOG = frozenset({Kind.FREEZE, Kind.INSPECTION, Kind.COMPARISON})


class Status(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"  # accepted; no worker has claimed anything of it yet
    RUNNING = "running"  # at least one item is or was claimed
    SUCCEEDED = "succeeded"  # ended; there is a result
    FAILED = "failed"  # ended; there is an error
    CANCELLED = "cancelled"  # ended on request; what was finished stays

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self in ENDED


ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


class Lane(StrEnum):
    """A queue, and who waits for it."""

    INTERACTIVE = "interactive"  # someone waits for this image
    BULK = "bulk"  # batches: behind interactive work
    FREEZING = "freezing"  # freezes, inspections and comparisons, by workers of their own


class Origin(StrEnum):
    """Where the items of a job come from."""

    WHOLE = "whole"  # the submission holds them: every kind of job but batches
    FOLDER = "folder"  # a worker lists a folder
    REQUEST = "request"  # one request brings them all; a batch whose request breaks off has failed
    OPEN = "open"  # any number of requests bring them, until the batch is sealed


@dataclass(frozen=True, kw_only=True)
class PinnedModel:
    """The version that a job was accepted for.

    A worker answers only with a version of the same `digest` (`Manifest.digest`): on another
    machine, or after a restore, the same name and number may mean another graph or other labels.
    """

    name: str
    version: int
    sha256: str
    digest: str = ""  # empty where it is not known, which stands in no new job
    basis: str = ""  # on what its preprocessing rests (`worker.models.basis`); empty: not known


@dataclass(frozen=True, kw_only=True)
class RateWindow:
    """What a batch's rate is measured over, about ten seconds. Times are ms since 1970."""

    since_ms: int
    done_before: int  # items that had ended then
    until_ms: int | None  # None while it runs


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """How many items a job has and how many have ended."""

    total: int
    succeeded: int
    failed: int
    skipped: int = 0  # files of a batch that are no images
    sealed: bool = True  # False while images may still be added
    rate_window: RateWindow | None = None

    @property
    def done(self) -> int:
        """Items that have ended."""
        return self.succeeded + self.failed


@dataclass(frozen=True, kw_only=True)
class WebhookState:
    """The state of the webhook that reports the end of a job."""

    url: str  # as anybody may see it
    state: str | None = None  # pending, delivered or failed; None before the job has ended
    attempts: int = 0
    last_error: str | None = None
    next_attempt_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class RequeueNote:
    """The last time that an item of a job went back to its queue, in ms since 1970, and why."""

    at_ms: int
    because: str  # a sentence


@dataclass(frozen=True, kw_only=True)
class Job:
    """One accepted piece of work, as it stands in Redis. Times are milliseconds since 1970."""

    id: str
    kind: Kind
    status: Status
    model: PinnedModel | None
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    expires_ms: int | None
    progress: JobProgress
    attempts: int  # claims of its most often claimed item
    result: Any  # the JSON value of `result`, or None
    error: dict[str, str] | None
    options: Mapping[str, Any] = field(default_factory=dict)  # what the submission asked for
    origin: Origin = Origin.WHOLE
    webhook: WebhookState | None = None
    owner: str = ""  # the API key that made it; empty where none was needed
    requeued: RequeueNote | None = None

    @classmethod
    def from_record(cls, job_id: str, fields: Mapping[str, str]) -> "Job":
        """Return the job of a record's fields, as Redis holds them; those it lacks are empty."""
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
        return cls(
            id=job_id,
            kind=Kind(row["kind"] or ""),
            status=status,
            model=model,
            created_ms=number("created") or 0,
            started_ms=number("started"),
            finished_ms=number("finished"),
            expires_ms=number("expires") if status in ENDED else None,
            progress=JobProgress(
                total=number("total") or 0,
                succeeded=number("succeeded") or 0,
                failed=number("failed") or 0,
                skipped=number("skipped") or 0,
                sealed=row["kind"] != Kind.BATCH or row["sealed"] == "1",
                rate_window=_rate_window(number),
            ),
            attempts=number("attempts") or 0,
            result=json.loads(row["result"]) if row["result"] else None,
            error=json.loads(row["error"]) if row["error"] else None,
            options=json.loads(row["options"] or "{}"),
            origin=Origin(row["origin"] or Origin.WHOLE),
            webhook=_webhook(row, number),
            owner=row["owner"] or "",
            requeued=RequeueNote(
                at_ms=number("requeued") or 0, because=row["requeued_because"] or ""
            )
            if row["requeued"]
            else None,
        )

    @classmethod
    def from_json(cls, job_id: str, record: bytes) -> "Job":
        """Return the job of a whole record: its names and values in turn, as a list in JSON."""
        flat = json.loads(record)
        return cls.from_record(job_id, dict(zip(flat[::2], flat[1::2], strict=True)))


def _rate_window(number: Callable[[str], int | None]) -> RateWindow | None:
    since = number("before_ms")
    if since is None:
        return None
    return RateWindow(
        since_ms=since, done_before=number("before_done") or 0, until_ms=number("finished")
    )


def _webhook(
    row: Mapping[str, str | None], number: Callable[[str], int | None]
) -> WebhookState | None:
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


class Item(NamedTuple):
    """One image (or source) of a job, as it stands in a queue."""

    job_id: str
    number: int
    attempts: int  # claims before this one

    @property
    def key(self) -> str:
        """The item's name within a claim: `job:number`."""
        return f"{self.job_id}:{self.number}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one item: a result or an error, never both."""

    result: Any = None
    error: dict[str, str] | None = None
    label: str = ""  # what came first, for a batch's summary
    digest: bytes = b""  # of the image's bytes, for a batch to know duplicates by


def rfc3339(milliseconds: int | None) -> str | None:
    """Return a time as RFC 3339 in UTC with milliseconds, or None."""
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
