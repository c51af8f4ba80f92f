"""Worker processes and the graphs that they have loaded."""

from typing import Final, Literal, get_args

from pydantic import Field

from worker.contract.base import Answered, Count, Time

WorkerState = Literal["starting", "ready", "stopping"]
WORKER_STATES: Final[tuple[WorkerState, ...]] = get_args(WorkerState)


class WorkerGraph(Answered):
    """One graph of a worker process."""

    model: str
    version: int
    sha256: str
    state: Literal["loading", "ready", "failed", "dropped"] = Field(
        description="`dropped`: not in memory, and loaded when asked for."
    )
    loads: Count = Field(description="How often this process loaded it.")
    load_seconds: float = Field(description="Of the last load, its first runs included.")
    bytes: Count = Field(description="Size of its file.")
    runtime: str = Field(description="Empty where it is not known.")
    error: str | None
    digest: str = Field("", description="Of all that decides its answers; empty: not known.")


class Confinement(Answered):
    """What keeps a worker process from the rest of its machine."""

    in_force: list[str]
    missing: list[str] = Field(description="What cannot be had, each with its reason.")


class Worker(Answered):
    """What one worker process says of itself."""

    id: str
    pid: int
    host: str
    state: WorkerState
    queues: list[str]
    graphs: list[WorkerGraph]
    memory_bytes: Count = Field(description="Resident set.")
    items: Count = Field(description="Images and other jobs done since it started.")
    confinement: Confinement | None = Field(
        None,
        description="null for a freezing worker, which has its work done by processes that are "
        "confined.",
    )
    started_at: Time
    seen_at: Time = Field(description="When it last reported.")


class WorkerList(Answered):
    """All worker processes that live."""

    workers: list[Worker]
