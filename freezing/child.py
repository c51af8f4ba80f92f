"""A child process that freezes or inspects: started, followed, ended. Imports no TensorFlow."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psutil
import structlog

from freezing.running.environment import environment
from freezing.running.events import Events
from freezing.running.failures import failure
from freezing.running.steps import Report, Step
from worker.confinement.system import adopt_orphans
from worker.errors import FreezeError
from worker.onednn import switch_on
from worker.out_of_memory import says_out_of_memory

_log = structlog.get_logger(__name__)

_STARTS_WITHIN = 1 << 30  # bytes of memory, with which TensorFlow can always be started
_POLL_S = 0.5  # time between two looks at the clock and at `cancelled`
_MOST_ROUNDS = 100  # of ending what was left behind
_END_POLL_S = 0.01  # time between two looks at a process that is ending
_TAIL_LINES = 60  # of standard error, kept for the log
_CHUNK_BYTES = 1 << 16
_MOST_OF_A_LINE = 1 << 12  # bytes of standard error
_ROOT = Path(__file__).resolve().parents[1]


class FreezeCancelledError(FreezeError):
    """The job was cancelled while it was frozen; nothing was published."""

    code = "cancelled"


class Child:
    """`python -m freezing` with one order, in a session and process group of its own."""

    def __init__(self, order: dict[str, Any], folder: Path, report: Report) -> None:
        """Start it; `order` is what `freezing.__main__` reads. What it tells goes to `report`.

        What libraries write for themselves goes to `folder`.
        """
        variables = environment(folder)
        variables.update(TF_CPP_MIN_LOG_LEVEL="1", CUDA_VISIBLE_DEVICES="-1")
        switch_on(variables)  # as where the graph will be served, with which it is compared
        # What a person set for Keras must not change how a file is read.
        variables.update(KERAS_BACKEND="tensorflow", KERAS_HOME=str(folder))
        self._order = order
        self._report = report
        self._end: dict[str, Any] = {}  # the last event
        self._others = _children()
        # What it leaves behind becomes ours, and can be found.
        with contextlib.suppress(OSError, AttributeError):
            adopt_orphans(True)
        self._errors: deque[str] = deque(maxlen=_TAIL_LINES)
        self._events = Events()
        self._rest = b""  # of standard error, a line that has not ended
        self._process = subprocess.Popen(
            [sys.executable, "-m", "freezing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_ROOT,
            env=variables,
            start_new_session=True,
            close_fds=True,
        )

    def wait(self, time_limit_s: float, cancelled: Callable[[], bool]) -> dict[str, Any]:
        """Return the outcome, handing on what it tells and asking `cancelled` meanwhile.

        Raises `FreezeError`, also for a crash, `out_of_memory` and `timed_out`, and
        `FreezeCancelledError`. The process may still run then: `kill` it.
        """
        deadline = time.monotonic() + time_limit_s
        self._give_order()
        next_look = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(_pipe(self._process.stdout), selectors.EVENT_READ, "events")
            selector.register(_pipe(self._process.stderr), selectors.EVENT_READ, "errors")
            while selector.get_map():
                for key, _ in selector.select(_POLL_S):
                    if not self._read(key.fd, key.data):
                        selector.unregister(key.fileobj)
                if len(selector.get_map()) == 1 and self._ended():
                    break  # what it left behind may hold the other pipe open
                now = time.monotonic()
                if now > deadline:
                    raise _timed_out(time_limit_s)
                if now >= next_look:
                    next_look = now + _POLL_S
                    if cancelled():
                        raise FreezeCancelledError("Cancelled; nothing was published.")
        # It has closed its pipes and is ending.
        while not self._ended():
            if time.monotonic() > deadline + _POLL_S:
                raise _timed_out(time_limit_s)
            time.sleep(_END_POLL_S)
        self.kill()
        return self._outcome(self._process.wait())

    def kill(self) -> None:
        """End the process and all that it started; wait until it is gone."""
        if self._process.returncode is None:
            # Also where it has ended by itself: something that it started may be left, and until
            # it is waited for nobody else gets the number of its group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(BrokenPipeError):
                _pipe(pipe).close()
        self._process.wait()
        self._end_orphans()
        with contextlib.suppress(OSError, AttributeError):
            adopt_orphans(False)

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

    def _ended(self) -> bool:
        """Whether the process has ended; it is not waited for yet."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def _give_order(self) -> None:
        stdin = _pipe(self._process.stdin)
        # Where it died at once, its exit status says why.
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(self._order).encode())
            stdin.close()

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

    def _outcome(self, status: int) -> dict[str, Any]:
        if self._end.get("event") == "done":
            outcome: dict[str, Any] = self._end["outcome"]
            return outcome
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
        starting = status < 0 and self._report.doing == Step.START
        return starting and self._order["memory_bytes"] < _STARTS_WITHIN

    def _too_little_memory(self) -> str:
        limit = self._order["memory_bytes"] / 2**20
        said = (
            f"Freezing needed more memory than there is; {limit:.0f} MiB are allowed "
            "(PERMAFROST_FREEZE_MEMORY_BYTES)"
        )
        run = self._order.get("serving", {}).get("run_memory_bytes")
        if run is None:
            return f"{said}."
        return (
            f"{said}, and {run / 2**20:.0f} MiB for one run of what was frozen "
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


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("the child was started without pipes")
    return pipe
