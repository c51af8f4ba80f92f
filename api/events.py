"""`GET /v1/jobs/ID/events`: server-sent events of one job, until it ends."""

import json
import time
from collections.abc import Iterator
from typing import Any

import redis
import structlog
from apiflask import APIBlueprint
from flask import Response, request, stream_with_context

from api import credentials, identity
from api.answers import job_json
from api.kernel import Kernel, kernel
from worker.errors import OverloadedError, PermafrostError
from worker.jobs.records import Job

_log = structlog.get_logger(__name__)

blueprint = APIBlueprint("events", __name__)

_LOOK_S = 0.25  # between looks at the record
_KEEP_ALIVE_S = 15.0  # between comments that keep proxies from closing an idle stream
_END = "end"  # the id of the last event
_LONGEST_S = 300.0  # then the client connects again, with Last-Event-ID


@blueprint.get("/v1/jobs/<job_id>/events")
@blueprint.doc(tags=["jobs"], responses={503: "Too many streams are open"})
def stream(job_id: str) -> Response:
    """Follow a job: `status`, `progress`, `log` and, last, `end` with the whole job.

    Events carry the number of log lines seen as their id, so that a client that connects again with
    `Last-Event-ID` misses no line and sees none twice. The id of `end` is `end`: who connects again
    with that is answered 204.
    """
    core = kernel()
    job = core.store.get(job_id, owner=identity.owner())
    last = request.headers.get("Last-Event-ID", "")
    if last == _END and job.status.ended:  # nothing follows: by this a browser stops asking
        return Response(status=204)
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else 0
    if not core.take_place():
        raise OverloadedError("Too many requests are waiting for jobs: poll the job instead.")
    body = stream_with_context(_follow(core, job, seen))
    response = Response(body, mimetype="text/event-stream")
    # Not in the generator, which is never begun for HEAD or where the client is gone already.
    response.call_on_close(core.leave_place)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _follow(core: Kernel, job: Job, seen: int) -> Iterator[str]:
    try:
        yield from _events(core, job, seen)
    except (redis.RedisError, PermafrostError) as error:
        # The answer has begun, so it can only end here; the client connects again.
        _log.warning("events interrupted", action="events_interrupted", error=str(error))


def _events(core: Kernel, job: Job, seen: int) -> Iterator[str]:
    deadline = time.monotonic() + _LONGEST_S
    quiet_since = time.monotonic()
    shown: tuple[Any, Any] = (None, None)
    with core.watch(job.id) as ended:
        while True:
            job = core.store.get(job.id)
            lines = core.store.log(job.id, seen)
            events = []
            if shown[0] != job.status:
                events.append(_event("status", {"status": job.status.value}, seen))
            if shown[1] != job.progress:
                events.append(_event("progress", job.progress.as_json(), seen))
            shown = (job.status, job.progress)
            for line in lines:
                seen += 1
                events.append(_event("log", line.as_json(), seen))
            if job.status.ended:
                yield from events
                yield _event("end", job_json(job), _END)
                return
            now = time.monotonic()
            if now > deadline or not credentials.still_valid(identity.grant()):
                return
            if events:
                quiet_since = now
                yield from events
            elif now - quiet_since > _KEEP_ALIVE_S:
                quiet_since = now
                yield ": still here\n\n"
            if ended.wait(_LOOK_S):
                ended.clear()


def _event(name: str, data: dict[str, Any], identity: int | str) -> str:
    return f"id: {identity}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
