"""Jobs: reading, listing, cancelling, following."""

from typing import Any, Final

from api.described import examples
from api.described.operation import (
    CHANGING,
    PREFER,
    STORED,
    DescribedAnswer,
    DescribedOperation,
    json_answer,
)
from api.described.problems import REF
from worker.contract.forms import WaitQuery
from worker.contract.jobs import Job, JobPage, JobsQuery
from worker.errors import GoneError, NotFoundError, OverloadedError

_OF_ONE: Final = (NotFoundError, GoneError)


def _event(name: str, *models: str) -> dict[str, Any]:
    """Return the schema of a server-sent event whose `data` is JSON of a model."""
    kinds = [{"$ref": f"{REF}{model}"} for model in models]
    content = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {
            "id": {"type": "string"},
            "event": {"type": "string", "const": name},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": content,
            },
        },
    }


# One event of the stream.
_EVENTS: Final = {
    "oneOf": [
        _event("status", "StatusEvent"),
        _event("progress", "Progress", "BatchProgress"),
        _event("log", "LogEvent"),
        _event("end", "Job"),
    ]
}

OPERATIONS: Final = (
    DescribedOperation(
        method="get",
        path="/v1/jobs",
        id="list_jobs",
        view="jobs.index",
        tag="jobs",
        summary="List jobs, newest first.",
        query=JobsQuery,
        answers=(json_answer(JobPage, examples.JOBS, "A page of jobs"),),
    ),
    DescribedOperation(
        method="get",
        path="/v1/jobs/{job_id}",
        id="read_job",
        view="jobs.read",
        tag="jobs",
        summary="Read a job.",
        about="With `wait` or `Prefer` the answer is held until the job has ended or the time is "
        "up.",
        query=WaitQuery,
        headers=PREFER,
        answers=(json_answer(Job, examples.PREDICTION, "The job as it is"),),
        errors=(*STORED, *_OF_ONE),
    ),
    DescribedOperation(
        method="delete",
        path="/v1/jobs/{job_id}",
        id="cancel_job",
        view="jobs.cancel",
        tag="jobs",
        summary="Cancel a job.",
        about="One that has ended stays as it is, and so do the finished images of a batch.",
        answers=(json_answer(Job, examples.PREDICTION, "The job as it is now"),),
        errors=(*CHANGING, *_OF_ONE),
    ),
    DescribedOperation(
        method="get",
        path="/v1/jobs/{job_id}/events",
        id="follow_job",
        view="events.stream",
        tag="jobs",
        summary="Follow a job until it has ended, as server-sent events.",
        about="`status` (`StatusEvent`), `progress` (`Progress`), `log` (`LogEvent`) and, last, "
        "`end` with the whole `Job`. Events carry the number of log lines seen as their id, so "
        "that a client that connects again with `Last-Event-ID` misses no line and sees none "
        "twice. The id of `end` is `end`: who connects again with that is answered 204.",
        headers={
            "Last-Event-ID": (
                "The id of the last event that was seen; those behind it follow.",
                {"type": "string"},
            )
        },
        answers=(
            DescribedAnswer(
                about="Events, as they happen",
                content={"text/event-stream": _EVENTS},
                example=examples.EVENT,
            ),
            DescribedAnswer(status=204, about="The job has ended and its `end` was seen"),
        ),
        errors=(*STORED, *_OF_ONE, OverloadedError),
    ),
)
