"""A job as the contract shows it, both in answers and in webhooks."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from worker.contract import image_jobs
from worker.contract.base import built, moment
from worker.contract.batches import BatchProgress
from worker.contract.image_jobs import JobBase
from worker.contract.jobs import KINDS
from worker.jobs.log_lines import LogLine
from worker.jobs.records import WITH_LOG, Job, JobProgress, Kind, WebhookState


def job_answer(
    job: Job,
    *,
    labels: Mapping[str, int] | None = None,
    log: Sequence[LogLine] | None = None,
    root: str = "",
) -> JobBase:
    """Return a job as the contract shows it.

    `labels`: of a batch, how often each came first; `log`: of a freezing worker's job, what it
    reported, which its `steps` are derived from; `root`: where the API lies, for the links.
    """
    self_url = f"{root}/v1/jobs/{job.id}"
    # As it was written when the job ended, perhaps by an earlier Permafrost.
    result, rows = job.result, None
    progress: image_jobs.Progress | BatchProgress
    if job.kind is not Kind.BATCH:
        progress = plain_progress(job.progress)
    else:
        progress = batch_progress(job.progress, round(time.time() * 1000))
        result = {"labels": dict(labels or {})}
        rows = f"{root}/v1/batches/{job.id}/results"
    return built(
        KINDS[job.kind],
        id=job.id,
        kind=job.kind,
        status=job.status,
        model=_version(job),
        created_at=moment(job.created_ms),
        started_at=moment(job.started_ms),
        finished_at=moment(job.finished_ms),
        expires_at=moment(job.expires_ms),
        progress=progress,
        result=result,
        error=job.error,
        attempts=job.attempts,
        links=built(image_jobs.Links, self=self_url, results=rows, events=f"{self_url}/events"),
        **_optional_fields(job, log),
    )


def _optional_fields(job: Job, log: Sequence[LogLine] | None) -> dict[str, Any]:
    """Return the fields that are left out where they are empty."""
    found: dict[str, Any] = {}
    if job.owner:
        found["owner"] = job.owner
    if job.requeued:
        found["requeued"] = built(
            image_jobs.Requeued, at=moment(job.requeued.at_ms), reason=job.requeued.because
        )
    if job.webhook:
        found["webhook"] = _webhook(job.webhook)
    if log is not None and job.kind in WITH_LOG:
        found["log"] = [*log]
        found["steps"] = [*filter(None, map(step_of, log))]
    return found


def _version(job: Job) -> image_jobs.PinnedVersion | None:
    """Return the version that a job is about."""
    if job.kind is Kind.FREEZE and job.result:  # the one that it published
        return _pinned(job.result["model"], job.result)
    if job.kind is Kind.COMPARISON:
        return _pinned(job.options["model"], job.options)
    pinned = job.model
    if pinned is None:
        return None
    if not pinned.basis:
        return _pinned(pinned.name, {"version": pinned.version, "sha256": pinned.sha256})
    return built(
        image_jobs.PinnedVersion,
        name=pinned.name,
        version=pinned.version,
        sha256=pinned.sha256,
        basis=pinned.basis,
    )


def _pinned(name: str, written: Mapping[str, Any]) -> image_jobs.PinnedVersion:
    return built(
        image_jobs.PinnedVersion, name=name, version=written["version"], sha256=written["sha256"]
    )


def step_of(line: LogLine) -> image_jobs.Step | None:
    """Return the step that begins with a line, if one does."""
    if line.step is None:
        return None
    name, number, of = line.step
    return built(image_jobs.Step, name=name, number=number, of=of, at=moment(line.at_ms or None))


def plain_progress(progress: JobProgress) -> image_jobs.Progress:
    """Return how many items of a job there are and have ended."""
    return built(
        image_jobs.Progress,
        total=progress.total,
        succeeded=progress.succeeded,
        failed=progress.failed,
    )


def batch_progress(progress: JobProgress, now_ms: int) -> BatchProgress:
    """Return how far a batch is, with percent, rate and time left.

    `rate` is in images per second, over about the last ten seconds; `remaining_s` in seconds, None
    while it is unknown.
    """
    rate = remaining = None
    if progress.rate_window is not None:
        seconds = ((progress.rate_window.until_ms or now_ms) - progress.rate_window.since_ms) / 1000
        gone = progress.done - progress.rate_window.done_before
        if seconds > 0 and gone > 0:
            rate = round(gone / seconds, 1)
            if progress.sealed:
                remaining = round((progress.total - progress.done) * seconds / gone, 1)
    return built(
        BatchProgress,
        total=progress.total,
        succeeded=progress.succeeded,
        failed=progress.failed,
        skipped=progress.skipped,
        sealed=progress.sealed,
        # Rounded down, so that 100 says that nothing is left.
        percent=10_000 * progress.done // progress.total / 100 if progress.total else 0.0,
        rate=rate,
        remaining_s=remaining,
    )


def _webhook(webhook: WebhookState) -> image_jobs.Webhook:
    return built(
        image_jobs.Webhook,
        url=webhook.url,
        state=webhook.state or "waiting",
        attempts=webhook.attempts,
        last_error=webhook.last_error,
        next_attempt_at=moment(webhook.next_attempt_ms),
    )
