"""How jobs are answered: as JSON, with links, once they have ended where the request waits."""

from collections.abc import Awaitable, Callable
from typing import Final

import redis
import structlog
from flask import Response, request
from pydantic import BaseModel

from api.http.parameters import preferred_wait
from api.services import LoopServices, services
from worker.contract.base import as_text
from worker.contract.image_jobs import JobBase
from worker.jobs.presentation import job_answer
from worker.jobs.records import WITH_LOG, Job, Kind

_log = structlog.get_logger(__name__)

_RETRY_AFTER_S = 1

Deferred = Callable[[LoopServices], Awaitable[Response]]
# In the environment of a request behind the door: a list that takes what answers it in the loop.
DEFERRED: Final = "permafrost.deferred"


def json_response(answer: BaseModel, status: int = 200) -> Response:
    """Return an answer of the contract as JSON."""
    return Response(as_text(answer), status, mimetype="application/json")


def present(job: Job, *, with_log: bool = True) -> JobBase:
    """Return the job as the contract shows it.

    `with_log`: freezes with the `log` of what they reported and their `steps` so far, batches with
    the counts of labels.
    """
    has_log = with_log and job.kind in WITH_LOG
    return job_answer(
        job,
        labels=services().batches.labels(job.id) if with_log and job.kind is Kind.BATCH else None,
        log=services().store.log(job.id) if has_log else None,
        root=request.script_root,
    )


def respond_to_submission(job_id: str, accepted: Job | None = None) -> Response:
    """Answer a submission that a thread accepted, once its job has ended or the wait is over.

    `accepted` is the job as it was accepted, if known: it is the answer where the store fails while
    the request waits. An error would make the client send again what has been accepted. Behind the
    door no thread waits: `DEFERRED` answers in the loop, and what this returns is not sent.
    """
    wait = preferred_wait()
    if not wait:
        job = accepted or services().store.get(job_id)
        return submission_response(job, present(job, with_log=job is not accepted), wait)

    async def answer(loop_services: LoopServices) -> Response:
        try:
            job = await loop_services.wait_for(job_id, wait)
            return submission_response(job, await loop_services.present(job), wait)
        except redis.RedisError as error:
            if accepted is None:
                raise
            _log.warning("store error", action="store_error", error=str(error))
            return submission_response(accepted, present(accepted, with_log=False), wait)

    deferred: list[Deferred] | None = request.environ.get(DEFERRED)
    if deferred is None:
        return services().loop.run(answer)
    deferred.append(answer)
    return Response(status=202)


def submission_response(job: Job, answer: JobBase, wait: float | None) -> Response:
    """Answer a submission: 200 where the request waited and the job has ended, else 202."""
    has_ended = bool(job.status.ended and wait)
    response = json_response(answer, 200 if has_ended else 202)
    response.headers["Location"] = f"{request.script_root}/v1/jobs/{job.id}"
    if wait is not None and "wait" not in request.args:
        applied = min(wait, services().settings.max_wait_s)
        response.headers["Preference-Applied"] = f"wait={applied:g}"
    if not has_ended:
        response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return response
