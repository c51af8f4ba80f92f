"""`GET /v1/jobs/ID/events`: server-sent events of one job, until it ends."""

import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import redis
import structlog
from flask import Blueprint, Response, request, stream_with_context
from pydantic import BaseModel

from api.access import credentials, identity
from api.services import LoopServices, services
from worker.contract.base import as_text, built, moment
from worker.contract.events import LogEvent, StatusEvent
from worker.errors import PermafrostError
from worker.jobs.log_lines import LogLine
from worker.jobs.presentation import plain_progress, step_of
from worker.jobs.records import WITH_LOG, Job

_log = structlog.get_logger(__name__)

blueprint = Blueprint("events", __name__)

_LOOK_S = 0.25  # between two reads of the job
_MOST_LOOKS = 400.0  # reads in a second, of all streams of this process
_KEEP_ALIVE_S = 15.0  # between comments that keep proxies from closing an idle stream
_END = "end"  # the id of the last event
_LONGEST_S = 300.0  # then the client connects again, with Last-Event-ID


@blueprint.get("/v1/jobs/<job_id>/events")
def stream(job_id: str) -> Response:
    """Follow a job: `status`, `progress`, `log` and, last, `end` with the whole job.

    Events carry the number of log lines seen as their id, so that a client that connects again with
    `Last-Event-ID` misses no line and sees none twice. The id of `end` is `end`: who connects again
    with that is answered 204.
    """
    found = services().loop.run(partial(follow, job_id=job_id))
    if isinstance(found, Response):
        return found
    response = found.head
    response.response = stream_with_context(services().loop.iterate(found.events))
    # Not in the generator, which never starts for HEAD or where the client has gone already.
    response.call_on_close(partial(services().loop.run, lambda _: found.close()))
    return response


class EventStream:
    """A stream of events, which holds a slot for waiting requests until it is closed."""

    def __init__(self, loop_services: LoopServices, events: AsyncGenerator[str]) -> None:
        self._loop_services = loop_services
        self._closed = False
        self.events = events
        self.head = Response(mimetype="text/event-stream")
        self.head.headers["Cache-Control"] = "no-store"
        self.head.headers["X-Accel-Buffering"] = "no"  # nginx hands on each event at once

    async def close(self) -> None:
        """End the stream and release its slot."""
        if not self._closed:
            self._closed = True
            self._loop_services.release_slot()
            await self.events.aclose()


async def follow(loop_services: LoopServices, job_id: str) -> Response | EventStream:
    """Answer the request in the event loop."""
    job = await loop_services.get(job_id, owner=identity.owner())
    last = request.headers.get("Last-Event-ID", "")
    if last == _END and job.status.ended:  # nothing follows: by this a browser stops asking
        return Response(status=204)
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else 0
    loop_services.require_slot()

    return EventStream(loop_services, _follow(loop_services, job, seen))


async def _follow(loop_services: LoopServices, job: Job, seen: int) -> AsyncGenerator[str]:
    try:
        async for text in _events(loop_services, job, seen):
            yield text
    except (redis.RedisError, PermafrostError) as error:
        # The status has been sent, so the answer can only end; the client connects again.
        _log.warning("events interrupted", action="events_interrupted", error=str(error))


async def _events(loop_services: LoopServices, job: Job, seen: int) -> AsyncGenerator[str]:
    deadline = time.monotonic() + _LONGEST_S
    quiet_since = time.monotonic()
    shown: tuple[Any, Any] = (None, None)
    has_log = job.kind in WITH_LOG
    with loop_services.watch(job.id) as completion:
        while True:
            job = await loop_services.get(job.id)
            lines = await loop_services.log(job.id, seen) if has_log else []
            events = []
            if shown[0] != job.status:
                events.append(_event("status", built(StatusEvent, status=job.status), seen))
            if shown[1] != job.progress:
                events.append(_event("progress", plain_progress(job.progress), seen))
            shown = (job.status, job.progress)
            for line in lines:
                seen += 1
                events.append(_event("log", _line(line), seen))
            if job.status.ended:
                events.append(_event("end", await loop_services.present(job), _END))
                yield "".join(events)
                return
            now = time.monotonic()
            if (
                now > deadline
                or loop_services.stopping
                or not await credentials.still_valid(loop_services)
            ):
                return
            if events:
                quiet_since = now
                yield "".join(events)
            elif now - quiet_since > _KEEP_ALIVE_S:
                quiet_since = now
                yield ": still here\n\n"
            await completion.wait(_look_s(loop_services))


def _look_s(loop_services: LoopServices) -> float:
    """Return the seconds until the next read: the more requests wait, the longer."""
    return max(_LOOK_S, loop_services.waiting / _MOST_LOOKS)


def _line(line: LogLine) -> LogEvent:
    return built(LogEvent, line=str(line), at=moment(line.at_ms or None), step=step_of(line))


def _event(name: str, data: BaseModel, identity: int | str) -> str:
    return f"id: {identity}\nevent: {name}\ndata: {as_text(data)}\n\n"
