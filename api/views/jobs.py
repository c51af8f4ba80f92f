"""`/v1/jobs`: read, list, cancel."""

from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from api.access import identity
from api.http.answers import json_response, present
from api.http.parameters import one_of, preferred_wait, whole_number
from api.services import LoopServices, services
from worker.contract.base import built
from worker.contract.jobs import JobPage
from worker.jobs.records import Kind, Status

blueprint = Blueprint("jobs", __name__)


@blueprint.get("/v1/jobs")
def index() -> Response:
    """List jobs, newest first; `?kind=`, `?status=`, `?cursor=`, `?limit=` (at most 200)."""
    page = services().store.page(
        kind=one_of(Kind, "kind"),
        status=one_of(Status, "status"),
        cursor=request.args.get("cursor") or None,
        limit=whole_number(request.args.get("limit"), "limit", 50, 1, 200),
        owner=identity.owner(),
    )
    jobs: list[Any] = [present(job, with_log=False) for job in page.jobs]
    return json_response(built(JobPage, jobs=jobs, next=page.cursor))


@blueprint.get("/v1/jobs/<job_id>")
def read(job_id: str) -> Response:
    """Read a job; `?wait=SECONDS` holds the answer until it ends or the time is up."""
    return services().loop.run(partial(show, job_id=job_id))


async def show(loop_services: LoopServices, job_id: str) -> Response:
    """Answer the request in the event loop."""
    wait = preferred_wait() or 0.0
    job = await loop_services.wait_for(job_id, wait, owner=identity.owner())
    return json_response(await loop_services.present(job))


@blueprint.delete("/v1/jobs/<job_id>")
def cancel(job_id: str) -> Response:
    """Cancel a job; one that has ended stays as it is."""
    return json_response(present(services().store.cancel(job_id, owner=identity.owner())))
