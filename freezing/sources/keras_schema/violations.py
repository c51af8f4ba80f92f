"""What of a configuration is not on the lists: told to a person, in words."""

from dataclasses import dataclass

from worker.printable import printable


@dataclass(frozen=True, kw_only=True)
class SchemaViolation:
    """A part of a configuration that is not on the lists."""

    what: str  # "the layer 'crop' is a Lambda"
    marshalled: bool = False  # whether the file itself holds Python byte code
    allowed: bool = False  # whether the operator's setting can allow it
    unknown_field: bool = False  # whether a class that is known has a field that it has not


class WrongValueError(Exception):
    """A field or an argument holds what its kind of value does not let through."""

    def __init__(self, why: str) -> None:
        """`why` completes "..., which is ..."."""
        super().__init__(why)
        self.why = why


def shown(value: object, most: int = 60) -> str:
    """Return a value as a person may see it: short, and without what a terminal obeys."""
    text = repr(value) if not isinstance(value, str) else f"'{value}'"
    text = printable(text[: most + 1])
    return text if len(text) <= most else f"{text[:most]}..."
