"""A child process that freezes or inspects: started, followed, ended. Imports no TensorFlow."""

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import structlog

from worker.errors import FreezeError, SourceError, UnknownNodeError, VerificationError

_log = structlog.get_logger(__name__)

_POLL_S = 0.5  # time between two looks at the clock and at `cancelled`
_TAIL_LINES = 60  # of standard error, kept for the log
_CHUNK_BYTES = 1 << 16
_ROOT = Path(__file__).resolve().parents[1]
# What the child must not see: addresses and secrets of the running system.
_PRIVATE = ("PERMAFROST_", "REDIS_", "CELERY_", "AWS_")
# How Python, numpy, OpenBLAS, the C++ runtime and the loader say that a limit was reached.
_OUT_OF_MEMORY = re.compile(
    r"bad_alloc|MemoryError|out of memory|OOM when|cannot allocate memory|pthread_create\(\) failed"
    r"|memory allocation .*failed|cannot map zero-fill pages|failed to map segment",
    re.IGNORECASE,
)
_KINDS = {kind.code: kind for kind in (SourceError, UnknownNodeError, VerificationError)}


class FreezeCancelledError(FreezeError):
    """The job was cancelled while it was frozen; nothing was published."""

    code = "cancelled"


class Child:
    """`python -m freezing` with one order, in a session and process group of its own."""

    def __init__(self, order: dict[str, Any], on_log: Callable[[str], None]) -> None:
        """Start it; `order` is what `freezing.__main__` reads."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(_PRIVATE)}
        environment.update(TF_CPP_MIN_LOG_LEVEL="1", CUDA_VISIBLE_DEVICES="-1")
        self._order = order
        self._on_log = on_log
        self._end: dict[str, Any] = {}  # the last event
        self._errors: deque[str] = deque(maxlen=_TAIL_LINES)
        self._rest = {"events": b"", "errors": b""}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "freezing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_ROOT,
            env=environment,
            start_new_session=True,
            close_fds=True,
        )

    def wait(self, time_limit_s: float, cancelled: Callable[[], bool]) -> dict[str, Any]:
        """Return the outcome, handing log lines on and asking `cancelled` meanwhile.

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
                now = time.monotonic()
                if now > deadline:
                    raise _timed_out(time_limit_s)
                if now >= next_look:
                    next_look = now + _POLL_S
                    if cancelled():
                        raise FreezeCancelledError("Cancelled; nothing was published.")
        try:
            # It has closed its pipes and is ending.
            status = self._process.wait(max(_POLL_S, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise _timed_out(time_limit_s) from None
        return self._outcome(status)

    def kill(self) -> None:
        """End the process and all that it started; wait until it is gone."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(BrokenPipeError):
                _pipe(pipe).close()
        self._process.wait()

    def _give_order(self) -> None:
        stdin = _pipe(self._process.stdin)
        # Where it died at once, its exit status says why.
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(self._order).encode())
            stdin.close()

    def _read(self, descriptor: int, name: str) -> bool:
        """Take what is there; False at the end."""
        chunk = os.read(descriptor, _CHUNK_BYTES)
        *lines, self._rest[name] = (self._rest[name] + chunk).split(b"\n")
        for line in lines:
            if name == "errors":
                self._errors.append(line.decode(errors="replace"))
            else:
                self._take(json.loads(line))
        return bool(chunk)

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "log":
            self._on_log(event["message"])
        else:
            self._end = event

    def _outcome(self, status: int) -> dict[str, Any]:
        if self._end.get("event") == "done":
            outcome: dict[str, Any] = self._end["outcome"]
            return outcome
        code, message = self._end.get("code"), self._end.get("message", "")
        if code is None or self._end.get("unexpected"):
            tail = "\n".join([*self._errors, self._rest["errors"].decode(errors="replace")])
            _log.warning("freeze failed", action="freeze_failed", exit_status=status, stderr=tail)
            # Not killed by us: by the kernel then, which was out of memory.
            if status == -signal.SIGKILL or _OUT_OF_MEMORY.search(tail):
                code = "out_of_memory"
        if code == "out_of_memory":
            limit = self._order["memory_bytes"] / 2**20
            message = (
                f"Freezing needed more memory than there is; {limit:.0f} MiB are allowed "
                "(PERMAFROST_FREEZE_MEMORY_BYTES)."
            )
        elif code is None and status < 0:
            code = "crashed"
            name = signal.Signals(-status).name
            message = f"TensorFlow crashed while the source was frozen (signal {name})."
        elif code is None:
            code = FreezeError.code
            message = f"The source could not be frozen: its process ended with status {status}."
        raise _failure(code, message)


def _timed_out(time_limit_s: float) -> FreezeError:
    return _failure("timed_out", f"Freezing took longer than {time_limit_s:g} s and was stopped.")


def _failure(code: str, message: str) -> FreezeError:
    error = _KINDS.get(code, FreezeError)(message)
    error.code = code
    return error


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("the child was started without pipes")
    return pipe
