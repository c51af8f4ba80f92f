"""Events as lines of JSON from a process that may be lost: bounded, and believed in nothing."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from freezing.running.steps import FreezeStep
from worker.errors import FreezeError

# A model with 100,000 labels and as many layers has some 20 MB to say.
MOST_LINE_BYTES = 32 * 1024 * 1024
_MOST_BYTES = 2 * MOST_LINE_BYTES  # of all lines together
_MOST_LINES = 2000
_MOST_MESSAGE = 4000  # characters
_MOST_CODE = 64
_MOST_RUN = 200  # characters of what is run, and of the setting that limits it
_KINDS = frozenset({"step", "log", "running", "confined", "done", "failed"})
_STEPS = frozenset(step.value for step in FreezeStep)
_Record = TypeVar("_Record", bound=BaseModel)


class UnsoundReportError(FreezeError):
    """The process that froze said something that no process of ours says."""

    code = "unsound_report"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The process that worked on the source {what}, as code in a model that has taken it "
            "over may do. Nothing of it was used; freeze models of sources that you trust."
        )


class Events:
    """Turns what comes through a pipe into events, and ends with an error where it is not sound."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._bytes = 0
        self._lines = 0

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """Yield the events that are complete; raise `UnsoundReportError`."""
        self._bytes += len(chunk)
        if self._bytes > _MOST_BYTES:
            raise UnsoundReportError("said more than any model has to say")
        self._rest += chunk
        if b"\n" not in chunk:
            if len(self._rest) > MOST_LINE_BYTES:
                raise UnsoundReportError("said more than any model has to say")
            return
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        self._lines += len(lines)
        if self._lines > _MOST_LINES:
            raise UnsoundReportError("said more than any model has to say")
        for line in lines:
            yield parse(bytes(line))


def parse(line: bytes) -> dict[str, Any]:
    """Return the event in a line; raise `UnsoundReportError` where it is none."""
    event = parse_object(line)
    kind = event.get("event")
    sound = kind in _KINDS
    if kind == "step":
        sound = event.get("step") in _STEPS
    elif kind == "log":
        sound = isinstance(event.get("message"), str)
        event["message"] = _message(event)
    elif kind == "running":
        sound = (
            all(_is_text(event.get(name), _MOST_RUN) for name in ("what", "setting"))
            and isinstance(event.get("seconds"), int | float)
            and isinstance(event.get("images"), int)
        )
    elif kind == "confined":
        missing = event.get("missing")
        sound = _is_text(event.get("sentence"), _MOST_MESSAGE) and isinstance(missing, list)
    elif kind == "failed":
        code = event.get("code")
        sound = isinstance(code, str) and len(code) <= _MOST_CODE and code.isascii()
        sound = sound and isinstance(event.get("message"), str)
        event["message"] = _message(event)
    elif kind == "done":
        sound = "outcome" in event
    if not sound:
        raise UnsoundReportError("said what it has no words for")
    return event


def parse_object(line: bytes) -> dict[str, Any]:
    """Return a JSON object of finite numbers; raise `UnsoundReportError` for anything else."""
    try:
        found = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UnsoundReportError("said what is no JSON") from error
    if not isinstance(found, dict):
        raise UnsoundReportError("said what is no JSON object")
    return found


def checked(kind: type[_Record], given: Any) -> _Record:
    """Return what a process gave, every field of which is of its type and within its bounds.

    Raises `UnsoundReportError`.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        raise UnsoundReportError(
            f"gave a result that none can be ({where or 'as a whole'})"
        ) from error


def _message(event: dict[str, Any]) -> str:
    """Return what is told; halves of surrogate pairs, which JSON can spell, become `?`."""
    told = str(event.get("message"))[:_MOST_MESSAGE]
    return told.encode(errors="replace").decode()


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
