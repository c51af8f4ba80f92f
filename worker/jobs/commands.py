"""The commands that read one job, for callers that have a connection to Redis of their own."""

from collections.abc import Sequence
from typing import Any

from worker.errors import GoneError, NotFoundError
from worker.jobs.keys import check_job_id, key
from worker.jobs.records import Job

FIELDS = (
    *("kind", "status", "model", "version", "sha256", "created", "started", "finished", "expires"),
    *("total", "succeeded", "failed", "attempts", "result", "error", "options", "skipped"),
    *("sealed", "before_ms", "before_done", "origin", "owner", "basis"),
    *("requeued", "requeued_because"),
    *("webhook", "webhook_state", "webhook_attempts", "webhook_error", "webhook_next"),
)


def read_command(job_id: str) -> tuple[str, ...]:
    """Return the command that reads a job; raise `NotFoundError` where it cannot be one's id."""
    return ("HMGET", key("job", check_job_id(job_id)), *FIELDS)


def read_job(job_id: str, values: Sequence[bytes | None], owner: str | None) -> Job | None:
    """Return the job of the command's answer, or None where there is none.

    Raises `NotFoundError` where it is not `owner`'s.
    """
    if values[0] is None:
        return None
    job = job_of_values(job_id, values)
    if owner not in (None, job.owner):
        raise NotFoundError(f"There is no job '{job_id}'.")
    return job


def job_of_values(job_id: str, values: Sequence[bytes | None]) -> Job:
    """Return the job of the values of `FIELDS`, in that order."""
    pairs = zip(FIELDS, values, strict=True)
    return Job.from_record(job_id, {name: value.decode() for name, value in pairs if value})


def log_command(job_id: str, start: int) -> tuple[str | int, ...]:
    """Return the command that reads the lines of a job's log from number `start` on."""
    return ("LRANGE", key("log", job_id), start, -1)


def expired_commands(job_id: str, owner: str | None) -> list[tuple[str, ...]]:
    """Return the commands that ask whether there was such a job, forgotten or expired since."""
    if owner is not None:
        return [("ZSCORE", key("expired"), f"{job_id}:{owner}")]
    return [("ZSCORE", key("expired"), job_id), ("ZSCORE", key("expiry"), job_id)]


def missing(job_id: str, answers: Sequence[Any]) -> GoneError | NotFoundError:
    """Return the error that there is no such job, by the answers to `expired_commands`."""
    if any(answer is not None for answer in answers):
        return GoneError(f"Job {job_id} has expired: results are kept for a limited time.")
    return NotFoundError(f"There is no job '{job_id}'.")
