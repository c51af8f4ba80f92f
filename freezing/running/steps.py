"""The steps of a freeze or an inspection, as a person who waits is told of them."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from worker.contract.source_requests import FreezeRequest


class FreezeStep(StrEnum):
    """What is being done; the value completes "It is ..." and "It crashed while ..."."""

    START = "starting TensorFlow"
    READ = "reading the source"
    INSPECT = "looking at the graph"
    FREEZE = "freezing"
    RUN_SOURCE = "running the source on the samples"
    PROVE = "trying ways of preparing images on the examples"
    OPTIMISE = "optimising"
    VERIFY = "verifying"
    CONVERT = "converting to ONNX"
    PUBLISH = "publishing"
    COMPARE = "comparing ways of preparing images"


def steps_of_freeze(
    request: FreezeRequest, *, has_examples: bool = False
) -> tuple[FreezeStep, ...]:
    """Return the steps that a freeze will take, in order."""
    steps = [FreezeStep.START, FreezeStep.READ, FreezeStep.FREEZE, FreezeStep.RUN_SOURCE]
    if has_examples:
        steps.append(FreezeStep.PROVE)
    if request.optimise:
        steps.append(FreezeStep.OPTIMISE)
    steps.append(FreezeStep.VERIFY)
    if request.runtime == "onnxruntime":
        steps.append(FreezeStep.CONVERT)
    return (*steps, FreezeStep.PUBLISH)


def steps_of_comparison() -> tuple[FreezeStep, ...]:
    """Return the steps that a comparison takes, in order."""
    return (FreezeStep.START, FreezeStep.COMPARE)


def steps_of_inspection() -> tuple[FreezeStep, ...]:
    """Return the steps that an inspection takes, in order."""
    return (FreezeStep.START, FreezeStep.READ, FreezeStep.INSPECT)


class Report:
    """Tells steps and lines as they come, through whatever carries events from here."""

    def __init__(self, send: Callable[[Mapping[str, Any]], None]) -> None:
        self._send = send
        self.doing: str = FreezeStep.START  # the last step told

    def step(self, step: FreezeStep) -> None:
        """Say that a step begins."""
        self.relay({"event": "step", "step": step.value})

    def log(self, message: str) -> None:
        """Say something about the present step."""
        self.relay({"event": "log", "message": message})

    def relay(self, event: Mapping[str, Any]) -> None:
        """Pass on what another process told."""
        if event["event"] == "step":
            self.doing = event["step"]
        self._send(event)
