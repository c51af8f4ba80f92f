"""What `up` says while a person waits, on standard error."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status

_REMIND_S = 30.0  # without a terminal, what is waited for is said again after this time


class StartProgress:
    """Says what is being waited for; on a terminal in one line that changes."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._doing = ""
        self._since = time.monotonic()
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done()

    def doing(self, what: str) -> None:
        """Say what is being waited for now."""
        if what != self._doing:
            self._doing = what
            self._since = self._said = time.monotonic()
            if not self._console.is_terminal:
                self._console.print(what, markup=False)
        self.refresh()

    def refresh(self) -> None:
        """Show that it is still being waited for, and for how long."""
        if not self._doing:
            return
        now = time.monotonic()
        waited = now - self._since
        if self._console.is_terminal:
            text = escape(self._doing)
            self._show(f"{text} [dim]{waited:.0f} s[/dim]" if waited >= 2 else text)
        elif now - self._said > _REMIND_S:
            self._said = now
            self._console.print(f"{self._doing} ({waited:.0f} s so far)", markup=False)

    def _show(self, text: str) -> None:
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def tell(self, text: str) -> None:
        """Say something that stays."""
        self._console.print(text, markup=False)

    def done(self) -> None:
        """Nothing is being waited for any more."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        self._doing = ""

    def announce(self, line: str) -> None:
        """Print the one line that goes to standard output."""
        self.done()
        try:
            print(line, flush=True)
        except OSError:
            # Whoever read it is gone, which is no reason to stop serving the others.
            sys.stdout = sys.stderr
