"""The task of a freezing worker: claims a job and has a process of its own do what it asks for."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import redis
import structlog
from celery.signals import worker_process_init, worker_process_shutdown

from freezing.job_inputs import bring
from freezing.process import FreezeCancelledError, compare, freeze, inspect
from worker.app import app
from worker.contract.source_requests import ComparisonRequest, FreezeRequest, InspectionRequest
from worker.errors import ModelUnavailableError, PermafrostError
from worker.jobs.claims import Claim, ClaimedItem
from worker.jobs.log_lines import LogLine
from worker.jobs.records import Kind, Lane, Outcome, Status
from worker.jobs.tickets import TASKS, send_ticket
from worker.jobs.uploads import fetch_files
from worker.models.generation import announce_change
from worker.models.registry import Registry
from worker.pool import accepting
from worker.pool.process import WorkerProcess
from worker.printable import printable
from worker.settings import Settings, get_settings

_log = structlog.get_logger(__name__)
_running: dict[str, WorkerProcess] = {}  # made after the fork


@worker_process_init.connect
def _start(**_: object) -> None:
    if Lane.FREEZING.value not in app.amqp.queues.consume_from:
        return
    process = WorkerProcess(
        get_settings(),
        [Lane.FREEZING],
        partial(send_ticket, app),
        is_accepting=accepting.is_accepting,
        is_stopping=accepting.is_stopping,
        pool_id=accepting.POOL_ID,
    )
    _running["process"] = process
    process.start()
    _clear_leftovers(process)
    process.ready()


@worker_process_shutdown.connect
def _stop(**_: object) -> None:
    process = _running.pop("process", None)
    if process is not None:
        with contextlib.suppress(Exception):
            process.stop()


_SETTINGS = get_settings()
_REQUESTS: dict[Kind, type[InspectionRequest]] = {
    Kind.FREEZE: FreezeRequest,
    Kind.INSPECTION: InspectionRequest,
}


@app.task(
    name=TASKS[Lane.FREEZING],
    # The child has a limit of its own; this one is for a parent that hangs.
    time_limit=_SETTINGS.freeze_time_limit_s + 60,
)
def freeze_next(lane: str) -> None:
    """Do the job that waits longest; where more wait, another ticket is sent first."""
    process = _running["process"]
    claim = process.claims.claim([Lane(lane)], 1, ticket=Lane(lane))
    if claim is None:
        return
    process.send_tickets(claim.tickets_needed)
    outcome = _work(process, claim)
    if outcome is None:
        process.claims.abandon(claim)
        return
    process.claims.finish(claim, {claim.items[0].item: outcome})
    if outcome.error is None and claim.items[0].kind is Kind.FREEZE:
        announce_change(process.client)


def _work(process: WorkerProcess, claim: Claim) -> Outcome | None:
    """Return what became of the job, or None where it was cancelled or is no longer ours."""
    claimed = claim.items[0]
    job_id, settings = claimed.item.job_id, process.settings
    work_root = settings.data / "freezing"
    try:
        work_root.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(process, job_id)
        workdir = Path(tempfile.mkdtemp(prefix=f"{job_id}-", dir=work_root))
    except OSError as error:
        return _failure("storage", f"The data folder cannot be written: {error.strerror}.")
    try:
        followed = _Followed(
            workdir=workdir,
            settings=settings,
            on_log=partial(process.store.add_log, job_id),
            cancelled=partial(_over, process, claim),
        )
        if claimed.kind is Kind.COMPARISON:
            result = _compared(process, claimed, followed)
        else:
            result = _frozen_or_inspected(process, claimed, followed)
        return Outcome(result=result)
    except FreezeCancelledError:
        _log.info("freeze cancelled", action="freeze_cancelled", job=job_id)
        return None
    except PermafrostError as error:
        return _failure(error.code, error.message)
    except OSError as error:
        _log.exception("freeze failed", action="freeze_failed", job=job_id)
        return _failure("storage", f"The disk could not be read or written: {error.strerror}.")
    except Exception:  # a job must end whatever freezing met; the log has the details
        _log.exception("freeze failed", action="freeze_failed", job=job_id)
        return _failure("internal_error", "Freezing failed inside; it was written to the log.")
    finally:
        shutil.rmtree(workdir, ignore_errors=True)


class _Followed(TypedDict):
    """What all jobs are done with."""

    workdir: Path
    settings: Settings
    on_log: Callable[[LogLine], None]
    cancelled: Callable[[], bool]


def _frozen_or_inspected(
    process: WorkerProcess, claimed: ClaimedItem, followed: _Followed
) -> dict[str, Any]:
    job_id, settings, workdir = claimed.item.job_id, process.settings, followed["workdir"]
    request = _REQUESTS[claimed.kind].of_job(claimed.options)
    brought = bring(request, job_id, client=process.client, workdir=workdir, settings=settings)
    if not isinstance(request, FreezeRequest):
        return inspect(request, brought.source, **followed)
    return freeze(
        request,
        brought.source,
        samples=brought.samples,
        examples=brought.examples,
        registry=Registry(settings.models_folder),
        job_id=job_id,
        **followed,
    )


def _compared(process: WorkerProcess, claimed: ClaimedItem, followed: _Followed) -> dict[str, Any]:
    """Return what the version that was pinned answers to the images, each way they are prepared."""
    asked = ComparisonRequest.model_validate(claimed.options)
    registry = Registry(process.settings.models_folder)
    manifest = registry.manifest(asked.model, asked.version)
    if manifest.digest != asked.digest:
        raise ModelUnavailableError(
            f"{asked.model}@{asked.version} is another version here than the one that was meant: "
            "its graph, labels or preprocessing differ. Submit the images again."
        )
    upload = followed["workdir"] / "upload"
    upload.mkdir()
    images = sorted(fetch_files(process.client, claimed.item.job_id, upload))
    return compare(manifest, registry.served_path(manifest), images, top=asked.top, **followed)


def _clear_leftovers(process: WorkerProcess, ours: str = "") -> None:
    """Delete the folders of freezes that were killed, and those of earlier attempts at `ours`."""
    with contextlib.suppress(OSError, redis.RedisError):
        for folder in (process.settings.data / "freezing").iterdir():
            job_id = folder.name.partition("-")[0]
            if job_id == ours or process.store.status(job_id) is not Status.RUNNING:
                shutil.rmtree(folder, ignore_errors=True)


def _over(process: WorkerProcess, claim: Claim) -> bool:
    """Whether the job was cancelled or its claim was taken back."""
    try:
        status = process.store.status(claim.items[0].item.job_id)
        return status is not Status.RUNNING or not process.claims.holds(claim)
    except redis.RedisError:  # ask again later; publishing twice is prevented by the registry
        return False


def _failure(code: str, message: str) -> Outcome:
    return Outcome(error={"code": code, "message": printable(message)})
