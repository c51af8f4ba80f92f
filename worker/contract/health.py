"""Answers to the probes of an operator's monitoring."""

from typing import Literal

from pydantic import Field

from worker.contract.base import Answered, Count, left_out


class Health(Answered):
    """That this process answers."""

    status: Literal["ok"]


class Readiness(Answered):
    """Whether predictions can be made now."""

    status: Literal["ready", "unready"]
    reasons: list[str] = Field(description="Why not; empty where it is ready.")
    workers: Count | None = left_out(
        "Inference workers that are ready. Where keys are needed, only for whoever may read."
    )
    models: dict[str, str] | None = left_out(
        "For each model `ready` or `loading`, else why its stable version cannot be used."
    )
