"""The loop's two lines to Redis: one to ask, one on which endings are told."""

import contextlib
import selectors
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import structlog

from worker.connection import connect
from worker.jobs.keys import key
from worker.jobs.scripts import source
from worker.jobs.wire import Answer, Wire, WireError
from worker.settings import Settings

_log = structlog.get_logger(__name__)

_OPEN_AGAIN_S = 1.0  # after a line broke or could not be opened
_TIMEOUT_S = 2.0  # for each step of opening one
_SCRIPT = "accept"


class Loop(Protocol):
    """The loop that these lines belong to."""

    poller: selectors.BaseSelector

    def defer(self, do: Callable[[], object]) -> None:
        """Run something in the loop; any thread may call this."""

    def in_thread(self, do: Callable[[], object]) -> None:
        """Run something in a thread."""


class Lines:
    """Opens the lines where they are needed, watches them, and says when they broke.

    Only the loop may call what is public here.
    """

    def __init__(
        self, settings: Settings, loop: Loop, *, told: Answer, broken: Callable[[], object]
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._told = told
        self._broken = broken
        self._wires: dict[Wire, int] = {}  # with the events that are waited for
        self._commands: Wire | None = None
        self._digest = ""  # of the script, once Redis knows it
        self._opening = False
        self._open_after = 0.0

    def open(self) -> bool:
        """Whether jobs can be accepted; where not, see to it that they soon can be."""
        if self._digest:
            return True
        if not self._opening and not self._wires and time.monotonic() >= self._open_after:
            self._opening = True
            self._loop.in_thread(self._connect)
        return False

    def accept(self, answer: Answer, arguments: tuple[str | bytes | int | float, ...]) -> None:
        """Ask Redis to accept a job; it is sent at the end of the turn."""
        self._ask(answer, "EVALSHA", self._digest, 0, *arguments)

    def look_at_memory(self, answer: Answer) -> None:
        """Ask Redis how full it is."""
        self._ask(answer, "INFO", "memory")

    def ask_for_grant(self, answer: Answer, digest: str) -> None:
        """Ask Redis what the API key of a digest allows."""
        self._ask(answer, "HGET", key("secrets"), digest)

    def ask_whether_guarded(self, answer: Answer) -> None:
        """Ask Redis whether an API key was ever made."""
        self._ask(answer, "EXISTS", key("guarded"))

    def turn(self, *, watch: bool) -> None:
        """Send what was asked in this turn; `watch`: make sure that Redis lives."""
        now = time.monotonic()
        for wire in list(self._wires):
            if watch:
                self._try(wire, partial(wire.look, now))
            self._try(wire, partial(self._send, wire))

    def close(self) -> None:
        """Close both lines."""
        for wire in self._wires:
            with contextlib.suppress(OSError, KeyError, ValueError):
                self._loop.poller.unregister(wire)
            wire.close()
        self._wires.clear()
        self._commands, self._digest = None, ""

    # -- opening, in a thread until `_opened` -------------------------------------------------

    def _connect(self) -> None:
        wires: list[Wire] = []
        try:
            with connect(self._settings, timeout_s=_TIMEOUT_S) as client:
                wires.append(Wire(client))
                wires.append(Wire(client, self._told))
        except Exception as error:  # whatever it is, the long way remains
            for wire in wires:
                wire.close()
            _log.info("no short way", action="short_way_closed", error=str(error))
            self._loop.defer(self._not_opened)
        else:
            self._loop.defer(partial(self._opened, *wires))

    def _not_opened(self) -> None:
        self._opening = False
        self._open_after = time.monotonic() + _OPEN_AGAIN_S

    def _opened(self, commands: Wire, endings: Wire) -> None:
        self._opening = False
        self._commands = commands
        for wire in (commands, endings):
            self._wires[wire] = selectors.EVENT_READ
            self._loop.poller.register(wire, selectors.EVENT_READ, partial(self._ready, wire))
        # The script is used once endings are heard, so that none can be missed.
        load = partial(commands.ask, self._loaded, "SCRIPT", "LOAD", source(_SCRIPT))
        endings.ask(lambda _answer: load(), "SUBSCRIBE", key("ended"))

    def _loaded(self, answer: Any) -> None:
        if isinstance(answer, bytes):
            self._digest = answer.decode("ascii")
        else:
            raise WireError(str(answer))

    def _ask(self, answer: Answer, *command: str | bytes | int | float) -> None:
        if self._commands is None:
            raise WireError("The lines are not open.")
        self._commands.ask(answer, *command)

    # -- in the loop ----------------------------------------------------------------------------

    def _ready(self, wire: Wire, _file: object) -> None:
        if wire in self._wires:
            self._try(wire, wire.receive)
            self._try(wire, partial(self._send, wire))

    def _send(self, wire: Wire) -> None:
        if wire not in self._wires:
            return
        events = wire.send()
        if events != self._wires[wire]:
            self._loop.poller.modify(wire, events, partial(self._ready, wire))
            self._wires[wire] = events

    def _try(self, wire: Wire, do: Callable[[], object]) -> None:
        try:
            do()
        except Exception as error:  # the loop must outlive whatever these lines meet
            if wire not in self._wires:
                return
            unknown = not isinstance(error, WireError)
            _log.warning(
                "short way broken",
                action="short_way_broken",
                error=str(error),
                exc_info=error if unknown else None,
            )
            self.close()
            self._open_after = time.monotonic() + _OPEN_AGAIN_S
            self._broken()
