"""One job in full, as a person reads it."""

import math
from datetime import UTC, datetime

from rich.console import Console

from api.cli.escaping import escaped
from api.cli.output import Column, facts, status_text, table
from api.cli.results_view import show_labels
from worker.contract.base import rfc3339
from worker.contract.batches import BatchProgress
from worker.contract.image_jobs import BatchJob, JobBase, LoggedJob, PredictionJob, Webhook
from worker.formatting import age, counted, duration, number, score


def show_job(out: Console, job: JobBase, *, server: str) -> None:
    """Print a job: its record, its log and its result or error; links are of `server`."""
    progress = job.progress if isinstance(job.progress, BatchProgress) else None
    may_grow = progress is not None and not (progress.sealed or job.status.ended)
    results = job.links.results
    facts(
        out,
        [
            ("job", job.id),
            ("kind", job.kind),
            ("status", status_text(job.status)),
            ("model", model_text(job)),
            ("progress", progress_text(job)),
            ("passed over", _files(progress)),
            ("rate", _rate(progress)),
            ("time left", _left(job)),
            ("more images", "may be added" if may_grow else ""),
            ("created", _time(job.created_at)),
            ("started", _time(job.started_at)),
            ("finished", _time(job.finished_at)),
            ("took", elapsed(job) if job.started_at else None),
            ("kept until", job.expires_at and rfc3339(job.expires_at)),
            ("attempts", job.attempts),
            ("last put back", _requeued(job)),
            ("error", f"{job.error.code}: {job.error.message}" if job.error else None),
            ("webhook", _webhook(job.webhook)),
            ("results", f"{server}{results}?format=csv" if results else None),
        ],
    )
    if isinstance(job, LoggedJob) and job.log:
        out.print("\nlog")
        for line in job.log:
            out.print(f"  {escaped(line)}")
    if job.result:
        out.print()
        show_result(out, job)


def _requeued(job: JobBase) -> str | None:
    return f"{_time(job.requeued.at)}: {job.requeued.reason}" if job.requeued else None


def _webhook(webhook: Webhook | None) -> str | None:
    if webhook is None:
        return None
    parts = [f"{webhook.url} {webhook.state}"]
    if webhook.attempts:
        parts.append(counted(webhook.attempts, "attempt"))
    if webhook.last_error:
        parts.append(webhook.last_error.rstrip("."))
    if webhook.state == "pending" and webhook.next_attempt_at:
        parts.append(f"next at {rfc3339(webhook.next_attempt_at)}")
    return ", ".join(parts)


def show_result(out: Console, job: JobBase) -> None:
    """Print the result of a job that succeeded."""
    if isinstance(job, BatchJob):
        if job.result.labels:
            show_labels(out, job.result.labels)
    elif isinstance(job, PredictionJob) and job.result:
        columns = (Column(title="label", wide=True), Column(title="score", justify="right"))
        table(out, columns, [(one.label, score(one.score)) for one in job.result.predictions])
    else:
        _show_of_source(out, job)


def _show_of_source(out: Console, job: JobBase) -> None:
    from api.cli.comparison_report import show_comparison  # noqa: PLC0415 - takes its time
    from api.cli.freeze_report import show_freeze  # noqa: PLC0415 - the same
    from api.cli.inspection_report import show_inspection  # noqa: PLC0415 - the same
    from worker.contract.jobs import ComparisonJob, FreezeJob, InspectionJob  # noqa: PLC0415

    if isinstance(job, FreezeJob) and job.result:
        show_freeze(out, job.result)
    elif isinstance(job, InspectionJob) and job.result:
        show_inspection(out, job.result)
    elif isinstance(job, ComparisonJob) and job.result:
        show_comparison(out, job.result)


def model_text(job: JobBase) -> str | None:
    """Return the model that a job uses, or that a freeze has published, as `NAME@VERSION`."""
    return f"{escaped(job.model.name)}@{job.model.version}" if job.model else None


def progress_text(job: JobBase) -> str:
    """Return `done/total`, the share while a batch runs, and the failures if there are any."""
    progress = job.progress
    text = f"{number(progress.succeeded + progress.failed)}/{number(progress.total)}"
    if isinstance(progress, BatchProgress) and job.status == "running":
        text += f" ({math.floor(progress.percent)} %)"  # 100 means all
    return text + (f", {number(progress.failed)} failed" if progress.failed else "")


def left_text(job: JobBase) -> str | None:
    """Return how long a running batch still takes, as `20 s left`, where the server knows."""
    left = _left(job)
    return left and f"{left} left"


def _left(job: JobBase) -> str | None:
    if job.status != "running" or not isinstance(job.progress, BatchProgress):
        return None
    return None if job.progress.remaining_s is None else duration(job.progress.remaining_s)


def _rate(progress: BatchProgress | None) -> str | None:
    if progress is None or progress.rate is None:
        return None
    return f"{number(progress.rate)} images per second"


def _files(progress: BatchProgress | None) -> str | None:
    return counted(progress.skipped, "other file") if progress and progress.skipped else None


def _time(moment: datetime | None) -> str | None:
    return f"{rfc3339(moment)} ({age(moment)})" if moment else None


def elapsed(job: JobBase, now: datetime | None = None) -> str:
    """Return how long a job has worked, or did."""
    if job.started_at is None:
        return "-"
    ended = job.finished_at or now or datetime.now(UTC)
    return duration((ended - job.started_at).total_seconds())
