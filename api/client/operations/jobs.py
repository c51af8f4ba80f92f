"""Jobs: read, list, wait for, follow, cancel."""

from collections.abc import Callable, Sequence
from typing import Protocol

from api.client import reading
from api.client.address import path_part
from api.client.attempts import answer_to, document, json_of
from api.client.connection import Connection
from api.client.errors import NotEndedError
from api.client.operations.submitting import given, read_job
from api.client.steps import ApiRequest, Give, Json, Pause, ReadBy, Steps, altered

ENDED = frozenset({"succeeded", "failed", "cancelled"})

_HOLD_S = 30.0  # for which a server is asked to hold its answer when only the end of a job counts
FOLLOW_S = 1.0  # the same when each change of a job counts
_FIRST_PAUSE_S = 0.1  # between two reads if the server does not hold its answers; doubles
_LONGEST_PAUSE_S = 2.0
_PAGE = 200  # most jobs that a server gives at once


class HasId(Protocol):
    """A job, as any of the clients' methods returns it."""

    @property
    def id(self) -> str:
        """Its id."""


def id_of(job: str | HasId) -> str:
    """Return the id of a job, which may be given by its id."""
    return job if isinstance(job, str) else job.id


@ReadBy(reading.any_job)
def job(connection: Connection, job_id: str | HasId, *, wait_s: float = 0) -> Steps[Json]:
    """Return a job; with `wait_s`, the server holds the answer until it ends or that time is up."""
    return (yield from read_job(connection, id_of(job_id), wait_s))


@ReadBy(reading.batch_job)
def batch(connection: Connection, job_id: str) -> Steps[Json]:
    """Return a job that is a batch."""
    return (yield from read_job(connection, job_id))


@ReadBy(reading.any_job)
def cancel(connection: Connection, job_id: str | HasId) -> Steps[Json]:
    """Cancel a job and return it as it is then."""
    request = ApiRequest(method="DELETE", path=f"/v1/jobs/{path_part(id_of(job_id))}")
    answer = yield from answer_to(connection, request)
    if not answer.content:
        return (yield from read_job(connection, id_of(job_id)))
    return json_of(answer, connection, "id")


@ReadBy(reading.job_page)
def page(
    connection: Connection,
    *,
    kind: str | None = None,
    status: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Steps[Json]:
    """Return one page of jobs, newest first, and the `cursor` of the next one."""
    params = given(kind=kind, status=status, cursor=cursor, limit=limit)
    request = ApiRequest(method="GET", path="/v1/jobs", params=params)
    return (yield from document(connection, request, "jobs"))


@ReadBy(reading.any_job)
def jobs(
    connection: Connection,
    *,
    kind: str | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> Steps[None]:
    """Give jobs, newest first: all of them, or at most `limit`."""
    cursor, left = None, limit
    while left is None or left > 0:
        asked = _PAGE if left is None else min(left, _PAGE)
        found = yield from page.steps(
            connection, kind=kind, status=status, cursor=cursor, limit=asked
        )
        for one in found["jobs"]:
            yield Give(one)
        left = None if left is None else left - len(found["jobs"])
        cursor = found.get("next")
        if cursor is None or not found["jobs"]:
            return


def states(
    connection: Connection,
    job: Json,
    *,
    hold_s: float = FOLLOW_S,
    within_s: float | None = None,
) -> Steps[Json]:
    """Give a job now and after each read of it, until it has ended; return it.

    `hold_s`: seconds for which each request lets the server hold its answer. A server that
    answers at once instead (the number of waiting requests is limited) is asked less often.
    Raises `NotEndedError` where `within_s` seconds were not enough.
    """
    pause, began = _FIRST_PAUSE_S, connection.clock()
    yield Give(job)
    while job["status"] not in ENDED:
        hold = hold_s
        if within_s is not None:
            hold = min(hold_s, began + within_s - connection.clock())
            if hold <= 0:
                raise NotEndedError(
                    f"Job {job['id']} is still {job['status']} after {within_s:g} s. It goes on: "
                    "ask for it again later.",
                    job_id=str(job["id"]),
                )
        asked = connection.clock()
        job = yield from read_job(connection, str(job["id"]), hold)
        yield Give(job)
        if job["status"] not in ENDED and connection.clock() - asked < hold / 2:
            yield Pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
    return job


def waited(connection: Connection, job_id: str, within_s: float | None) -> Steps[Json]:
    """Return a job once it has ended. Raises `NotEndedError` where `within_s` is not enough."""
    job = yield from read_job(connection, job_id)
    seen = states(connection, job, hold_s=_HOLD_S, within_s=within_s)
    return (yield from altered(seen, lambda _: ()))


@ReadBy(reading.any_job)
def follow(
    connection: Connection, job: str | HasId, *, within_s: float | None = None
) -> Steps[Json]:
    """Give a job now, and again after each change, until it has ended."""
    before: Json = {}

    def changed(state: Json) -> list[Json]:
        nonlocal before
        same, before = state == before, state
        return [] if same else [state]

    found = yield from read_job(connection, id_of(job))
    return (yield from altered(states(connection, found, within_s=within_s), changed))


@ReadBy(str)
def log(connection: Connection, job: str | HasId, *, within_s: float | None = None) -> Steps[Json]:
    """Give the lines of a job's log: those so far, and others as they come, until it has ended."""
    found = yield from read_job(connection, id_of(job))
    read_new = new_lines()
    seen = states(connection, found, within_s=within_s)
    return (yield from altered(seen, lambda state: read_new(state.get("log") or [])))


def new_lines() -> Callable[[Sequence[str]], list[str]]:
    """Return a function that gives those lines of a job's log that it has not given before."""
    given_before: list[str] = []

    def read(log: Sequence[str]) -> list[str]:
        found = [*log]
        known = len(given_before)
        new = found[known:] if found[:known] == given_before else found
        given_before[:] = found
        return new

    return read
