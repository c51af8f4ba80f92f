"""The backlog: how much waits in a lane, and from when on nothing new is accepted."""

from collections.abc import Mapping
from dataclasses import dataclass

import redis

from worker.errors import OverloadedError
from worker.jobs.records import Lane
from worker.jobs.scripts import Scripts
from worker.settings import Settings

_WHAT = {
    Lane.INTERACTIVE: "predictions",
    Lane.BULK: "batches",
    Lane.FREEZING: "freezes and inspections",
}


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What waits in a lane."""

    depth: int  # jobs; of the bulk lane, batches of which images wait
    age_s: float  # how long the oldest has waited


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What may wait in a lane; 0 means any."""

    depth: int
    age_s: float

    @classmethod
    def of(cls, settings: Settings, lane: Lane) -> "Limit":
        """Return a lane's limit."""
        match lane:
            case Lane.INTERACTIVE:
                return cls(depth=settings.max_queue_depth, age_s=settings.max_queue_age_s)
            case Lane.BULK:
                return cls(depth=settings.max_bulk_queue_depth, age_s=settings.max_bulk_queue_age_s)
            case Lane.FREEZING:
                return cls(
                    depth=settings.max_freezing_queue_depth,
                    age_s=settings.max_freezing_queue_age_s,
                )

    def reached(self, backlog: Backlog) -> bool:
        """Whether nothing more may be added."""
        too_deep = 0 < self.depth <= backlog.depth
        return too_deep or 0 < self.age_s < backlog.age_s


def overloaded(lane: Lane, backlog: Backlog, limit: Limit) -> OverloadedError:
    """Return the error that says why nothing new is accepted in a lane."""
    if 0 < limit.depth <= backlog.depth:
        why = f"{backlog.depth} {_WHAT[lane]} wait already, and {limit.depth} may"
    else:
        why = (
            f"the oldest of the {_WHAT[lane]} that wait has waited for {backlog.age_s:.0f} s, and "
            f"{limit.age_s:g} s are allowed"
        )
    return OverloadedError(f"Nothing was accepted, because {why}: try again later.")


def backlogs(client: redis.Redis) -> Mapping[Lane, Backlog]:
    """Return what waits now in each lane."""
    rows = Scripts(client).run("backlog", *[lane.value for lane in Lane])
    return {
        lane: Backlog(depth=depth, age_s=age_ms / 1000)
        for lane, (depth, age_ms) in zip(Lane, rows, strict=True)
    }
