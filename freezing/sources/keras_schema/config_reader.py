"""The state of one reading of a configuration: where it is, and what it found."""

from collections.abc import Callable
from typing import Any, TypeVar

from freezing.sources.keras_schema.violations import SchemaViolation, WrongValueError, shown

OPERATION_PREFIX = "operation-"  # of the names that HDF5 files get for Keras's operations

_T = TypeVar("_T")


class ConfigReader:
    """Where in a configuration the reading is, and the findings so far."""

    def __init__(self) -> None:
        """Begin outside of any layer."""
        self.findings: list[SchemaViolation] = []
        self._layer = ""  # the name of the innermost layer that has one
        self._calls = 1  # of the layer that was read last, with those of what is in it

    def _checked(self, field: str, of: str, reader: Callable[[Any], _T], value: Any) -> _T | None:
        """Return what the reader makes of the value of a field; None, and a finding, if nothing."""
        try:
            return reader(value)
        except WrongValueError as error:
            text = f": {shown(value)} is" if isinstance(value, str | int | float) else " is"
            self._note(f"{field} of {self._what(of)}{text} {error.why}")
        return None

    def _note(self, what: str, *, allowed: bool = False) -> None:
        self.findings.append(SchemaViolation(what=what, allowed=allowed))

    def _what(self, kind: str) -> str:
        """Return how a person is told of the present layer, which is of the class `kind`."""
        kind = kind.removeprefix(OPERATION_PREFIX)
        return f"the layer '{plain(self._layer)}' ({kind})" if self._layer else kind

    def _where(self) -> str:
        return f" (in '{plain(self._layer)}')" if self._layer else ""


def plain(text: str) -> str:
    """Return a text from a file as a person may see it, without quotes."""
    return shown(text)[1:-1] if len(text) <= 60 else shown(text).strip("'")
