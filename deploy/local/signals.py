"""The wish to stop, however it is expressed: Ctrl-C, SIGTERM, a terminal that is closed."""

import contextlib
import os
import select
import signal
import socket
from types import FrameType, TracebackType
from typing import Self

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest(Exception):  # noqa: N818 - nothing went wrong
    """Someone asked to stop; whoever is waiting ends it with this."""


class StopSignals:
    """Notes requests to stop while it is entered; the first asks, the second insists."""

    def __init__(self) -> None:
        self.count = 0
        self._heard, self._told = socket.socketpair()
        self._heard.setblocking(False)
        self._told.setblocking(False)
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in _ASKING:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup: the system is to outlive its terminal
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal() returned
        self._heard.close()
        self._told.close()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        with contextlib.suppress(OSError):  # full: whoever waits is awake anyway
            os.write(self._told.fileno(), b".")

    def wait(self, seconds: float) -> None:
        """Wait; raises `StopRequest` as soon as a request is there."""
        select.select([self._heard], [], [], 0 if self.count else seconds)
        if self.count:
            raise StopRequest

    @property
    def insisting(self) -> bool:
        """Whether a second request came, so that stopping in order takes too long."""
        return self.count > 1
