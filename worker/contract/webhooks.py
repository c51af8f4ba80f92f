"""What a receiver is sent when a job has ended."""

from typing import Literal

from pydantic import Field

from worker.contract.base import Answered, Time
from worker.contract.jobs import Job


class JobEnded(Answered):
    """That a job has ended, as Standard Webhooks has it."""

    type: Literal["job.succeeded", "job.failed", "job.cancelled"]
    timestamp: Time = Field(description="When it ended.")
    data: Job = Field(description="The job as `GET /v1/jobs/ID` showed it then.")
