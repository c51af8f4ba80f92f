"""Lines of a job's log: the text, when it was logged, and which step begins with it."""

import json
from typing import NamedTuple

_LONGEST = 2000  # characters


class StepMark(NamedTuple):
    """Which step begins with a line, and of how many."""

    name: str
    number: int  # from 1
    of: int


class LogLine(str):
    """The text of a line, with the time at which it was logged."""

    at_ms: int  # since 1970; 0 until it is stored
    step: StepMark | None

    def __new__(cls, text: str, *, at_ms: int = 0, step: StepMark | None = None) -> "LogLine":
        """Make a line. Halves of surrogate pairs, which no answer can hold, become `?`."""
        line = super().__new__(cls, text.encode(errors="replace").decode())
        line.at_ms, line.step = at_ms, step
        return line

    @classmethod
    def of(cls, text: str) -> "LogLine":
        """Return the text as a line, which it may be already."""
        return text if isinstance(text, cls) else cls(text)

    @classmethod
    def of_step(cls, name: str, number: int, of: int) -> "LogLine":
        """Return the line that says that a step begins."""
        return cls(f"Step {number} of {of}: {name} ...", step=StepMark(name, number, of))

    @classmethod
    def decode(cls, stored: bytes) -> "LogLine":
        """Read what `encode` gave."""
        text, at_ms, *step = json.loads(stored)
        return cls(text, at_ms=at_ms, step=StepMark(*step) if step else None)

    def encode_at(self, at_ms: int) -> str:
        """Return the line as it is stored, with its time; a text that is too long is cut."""
        return json.dumps([self[:_LONGEST], at_ms, *(self.step or ())], separators=(",", ":"))
