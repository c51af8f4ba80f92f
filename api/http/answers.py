"""How jobs are answered: links, headers, and waiting as `Prefer: wait=` asks (RFC 7240)."""

import re
from collections.abc import Awaitable, Callable
from typing import Final

import redis
import structlog
from flask import Response, request
from pydantic import BaseModel

from api.services.loop import LoopKernel
from api.services.process import kernel
from worker.contract.base import as_text
from worker.contract.image_jobs import JobBase
from worker.errors import InvalidRequestError
from worker.jobs.presentation import job_answer
from worker.jobs.records import WITH_LOG, Job, Kind

_log = structlog.get_logger(__name__)

_WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?\s*(?:$|[,;])', re.IGNORECASE)
_RETRY_AFTER_S = 1

Later = Callable[[LoopKernel], Awaitable[Response]]
LATER: Final = "permafrost.later"  # in the environment of a request: what is to be done in the loop


def answered(answer: BaseModel, status: int = 200) -> Response:
    """Return an answer of the contract as JSON."""
    return Response(as_text(answer), status, mimetype="application/json")


def shown(job: Job, *, with_log: bool = True) -> JobBase:
    """Return the job as the contract shows it.

    `with_log`: freezes with the `log` of what they reported and their `steps` so far, batches with
    the counts of labels.
    """
    has_log = with_log and job.kind in WITH_LOG
    return job_answer(
        job,
        labels=kernel().batches.labels(job.id) if with_log and job.kind is Kind.BATCH else None,
        log=kernel().store.log(job.id) if has_log else None,
        root=request.script_root,
    )


def submitted(job_id: str, accepted: Job | None = None) -> Response:
    """Answer a submission that a thread accepted, once its job has ended or the wait is over.

    `accepted` is the job as it was accepted, where that is known: with it a store that fails from
    now on does not turn an accepted job into an error, which would make the client send it again.
    No thread waits behind the door: it goes on with `LATER`, and this answer is not sent.
    """
    wait = preferred_wait()
    if not wait:
        job = accepted or kernel().store.get(job_id)
        return submission(job, shown(job, with_log=job is not accepted), wait)

    async def answer(core: LoopKernel) -> Response:
        try:
            job = await core.wait_for(job_id, wait)
            return submission(job, await core.shown(job), wait)
        except redis.RedisError as error:
            if accepted is None:
                raise
            _log.warning("store error", action="store_error", error=str(error))
            return submission(accepted, shown(accepted, with_log=False), wait)

    later: list[Later] | None = request.environ.get(LATER)
    if later is None:
        return kernel().portal.run(answer)
    later.append(answer)
    return Response(status=202)


def submission(job: Job, answer: JobBase, wait: float | None) -> Response:
    """Answer a submission: 202 with `Location`, or 200 where it was waited for and has ended."""
    has_ended = bool(job.status.ended and wait)
    response = answered(answer, 200 if has_ended else 202)
    response.headers["Location"] = f"{request.script_root}/v1/jobs/{job.id}"
    if wait is not None and "wait" not in request.args:
        applied = min(wait, kernel().settings.max_wait_s)
        response.headers["Preference-Applied"] = f"wait={applied:g}"
    if not has_ended:
        response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return response


def preferred_wait() -> float | None:
    """Return the seconds that `Prefer: wait=` or `?wait=` asks for, or None."""
    text = request.args.get("wait")
    if text is None:
        return wait_of(request.headers.get("Prefer", ""))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InvalidRequestError(f"wait must be a number of seconds, not '{text[:40]}'.")
    return seconds


def wait_of(prefer: str) -> float | None:
    """Return the seconds that the value of a `Prefer` header asks for, or None."""
    match = _WAIT.search(prefer)
    return float(match[1]) if match else None


def whole_number(text: str | None, name: str, default: int, least: int, most: int) -> int:
    """Return a parameter as a number between two bounds; raise `InvalidRequestError`."""
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise InvalidRequestError(
            f"{name} must be a whole number from {least} to {most}, not '{text[:40]}'."
        )
    return int(text)
