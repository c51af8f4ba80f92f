"""What the server-sent events of a job carry in `data`."""

from pydantic import Field

from worker.contract.base import Answered, Time
from worker.contract.image_jobs import Step
from worker.jobs.records import Status


class StatusEvent(Answered):
    """`event: status`: where the job is in its life, at first and whenever that changes."""

    status: Status


class LogEvent(Answered):
    """`event: log`: one line of what a freeze, an inspection or a comparison says."""

    line: str
    at: Time | None
    step: Step | None = Field(description="Which step begins with it, if one does.")
