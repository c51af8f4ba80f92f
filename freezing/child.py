"""A child process that freezes or inspects: followed and ended. Imports no TensorFlow."""

import contextlib
import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import structlog

from freezing.child_process import ChildProcess
from freezing.running.child_events import Events
from freezing.running.failures import failure
from freezing.running.orders import FreezeOrder, Order
from freezing.running.steps import FreezeStep, Report
from worker.confinement.system import adopt_orphans
from worker.errors import FreezeError
from worker.formatting import binary_size
from worker.out_of_memory import says_out_of_memory

_log = structlog.get_logger(__name__)

_STARTS_WITHIN = 1 << 30  # bytes of memory, with which TensorFlow can always be started
_POLL_S = 0.5  # time between two looks at the clock and at `cancelled`
_MOST_ROUNDS = 100  # of ending what was left behind
_END_POLL_S = 0.01  # time between two looks at a process that is ending
_TAIL_LINES = 60  # of standard error, kept for the log
_CHUNK_BYTES = 1 << 16
_MOST_OF_A_LINE = 1 << 12  # bytes of standard error


class FreezeCancelledError(FreezeError):
    """The job was cancelled while it was frozen; nothing was published."""

    code = "cancelled"


class Child:
    """A process that works on one order, in a session and process group of its own."""

    def __init__(self, order: Order, folder: Path, report: Report) -> None:
        """Start it; what it tells goes to `report`.

        What libraries write for themselves goes to `folder`.
        """
        self._order = order
        self._report = report
        self._end: dict[str, Any] = {}  # the last event
        self._errors: deque[str] = deque(maxlen=_TAIL_LINES)
        self._events = Events()
        self._rest = b""  # of standard error, a line that has not ended
        self._process = ChildProcess(folder)
        self._others = _children()

    def wait(self, time_limit_s: float, cancelled: Callable[[], bool]) -> Any:
        """Return the outcome, handing on what it tells and asking `cancelled` meanwhile.

        Raises `FreezeError`, also for a crash, `out_of_memory` and `timed_out`, and
        `FreezeCancelledError`. The process may still run then: `kill` it.
        """
        deadline = time.monotonic() + time_limit_s
        next_look = 0.0

        def look() -> None:
            nonlocal next_look
            now = time.monotonic()
            if now > deadline:
                raise _timed_out(time_limit_s)
            if now >= next_look:
                next_look = now + _POLL_S
                if cancelled():
                    raise FreezeCancelledError("Cancelled; nothing was published.")

        self._report.step(FreezeStep.START)
        while not self._process.is_forked(_POLL_S):
            look()
        self._give_order()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ, "events")
            selector.register(self._process.stderr, selectors.EVENT_READ, "errors")
            while selector.get_map():
                for key, _ in selector.select(_POLL_S):
                    if not self._read(key.fd, key.data):
                        selector.unregister(key.fileobj)
                if len(selector.get_map()) == 1 and self._process.has_ended():
                    break  # what it left behind may hold the other pipe open
                look()
        # It has closed its pipes and is ending.
        while not self._process.has_ended():
            if time.monotonic() > deadline + _POLL_S:
                raise _timed_out(time_limit_s)
            time.sleep(_END_POLL_S)
        return self._outcome(self.kill())

    def kill(self) -> int:
        """End the process and all that it started; return its exit status once it is gone."""
        status = self._process.kill()
        self._end_orphans()
        with contextlib.suppress(OSError, AttributeError):
            adopt_orphans(False)
        return status

    def _end_orphans(self) -> None:
        """End what has left the group, which only a child that is not confined can have done."""
        own = os.getsid(0)
        for _ in range(_MOST_ROUNDS):
            left = [pid for pid in _children() - self._others if _session(pid) not in {own, None}]
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _give_order(self) -> None:
        # Where it died at once, its exit status says why.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(self._order.model_dump_json().encode())

    def _read(self, descriptor: int, name: str) -> bool:
        """Take what is there; False at the end."""
        chunk = os.read(descriptor, _CHUNK_BYTES)
        if name == "events":
            for event in self._events.feed(chunk):
                self._take(event)
        else:
            *lines, rest = (self._rest + chunk).split(b"\n")
            self._rest = rest[-_MOST_OF_A_LINE:]
            for line in lines:
                self._errors.append(line[:_MOST_OF_A_LINE].decode(errors="replace"))
        return bool(chunk)

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] in {"step", "log"}:
            self._report.relay(event)
        elif event["event"] == "confined":
            tell = _log.warning if event["missing"] else _log.info
            tell(event["sentence"], action="child_confined", missing=event["missing"])
            self._report.log(event["sentence"])
        elif event["event"] != "running":  # which is for the process that forked it
            self._end = event

    def _outcome(self, status: int) -> Any:
        if self._end.get("event") == "done":
            return self._end["outcome"]
        code, message = self._end.get("code"), self._end.get("message", "")
        if code in {None, "crashed"} or self._end.get("unexpected"):
            tail = "\n".join([*self._errors, self._rest.decode(errors="replace")])
            _log.warning("freeze failed", action="freeze_failed", exit_status=status, stderr=tail)
            # Not killed by us: by the kernel then, which was out of memory.
            killed = status == -signal.SIGKILL
            if killed or says_out_of_memory(tail) or self._could_not_start(status):
                code, message = "out_of_memory", ""
        if code == "out_of_memory" and (not message or self._end.get("unexpected")):
            message = self._too_little_memory()
        elif code is None and status < 0:
            code = "crashed"
            name = signal.Signals(-status).name
            message = f"TensorFlow crashed while {self._report.doing} (signal {name})."
        elif code is None:
            code = FreezeError.code
            message = f"The source could not be frozen: its process ended with status {status}."
        raise failure(code, message)

    def _could_not_start(self, status: int) -> bool:
        """Whether it crashed for lack of memory before it had read anything.

        Libraries that get no memory while they are loaded end in any way, and say nothing.
        """
        starting = status < 0 and self._report.doing == FreezeStep.START
        return starting and self._order.bounds.memory_bytes < _STARTS_WITHIN

    def _too_little_memory(self) -> str:
        limit = binary_size(self._order.bounds.memory_bytes)
        said = (
            f"Freezing needed more memory than there is; {limit} are allowed "
            "(PERMAFROST_FREEZE_MEMORY_BYTES)"
        )
        if not isinstance(self._order, FreezeOrder):
            return f"{said}."
        run = self._order.serving.run_memory_bytes
        return (
            f"{said}, and {binary_size(run)} for one run of what was frozen "
            "(PERMAFROST_RUN_MEMORY_BYTES)."
        )


def _children() -> set[int]:
    with contextlib.suppress(psutil.Error):
        return {child.pid for child in psutil.Process().children()}
    return set()


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _timed_out(time_limit_s: float) -> FreezeError:
    return failure("timed_out", f"Freezing took longer than {time_limit_s:g} s and was stopped.")
