"""Work in a process of its own, forked from one that has loaded TensorFlow and not used it yet.

Loading TensorFlow costs about four seconds, a fork of a process that has loaded it milliseconds.
But a session or an eager tensor made before a fork hangs what is forked: so the process that calls
`apart` must never make one itself, and all that runs a graph is run apart. What it holds goes back
to the system when it ends, and a crash in it is told from a crash in another one.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from freezing.running.child_events import Events
from freezing.running.failures import (
    CrashedError,
    MemoryRefusedError,
    UnforeseenError,
    as_event,
    capital,
    failure,
)
from freezing.running.limited_runs import Run, tell_runs, told
from freezing.running.steps import Report
from worker.confinement.confine import confine_alone
from worker.confinement.system import die_with_parent
from worker.errors import FreezeError
from worker.inference.trial_limits import OVERDUE, WAITED

# As `apart`: what runs a function, with what it may be given, and returns its result.
Apart = Callable[..., Any]

_MOST_DESCRIPTORS = 1024  # that may have been open
_CHUNK_BYTES = 1 << 16


def apart(
    report: Report,
    function: Callable[..., Any],
    *arguments: Any,
    doing: str | None = None,
    write: Sequence[Path] | None = None,
) -> Any:
    """Return what `function(report, *arguments)` returns, run in a forked process.

    The result crosses as JSON; arrays are handed over as files. What the function reports is
    reported here. Raises `FreezeError`s as the function does, by their code, `CrashedError` where
    it ended by a signal, `MemoryError` where the kernel killed it, and `UnforeseenError`; where
    runs of a model went beyond their limits (`freezing.running.limited_runs`), `FreezeError` with
    the code `timed_out`, and `MemoryRefusedError`.
    `doing` says in the error of a crash what was done; else it is the last run or step reported.

    The process cannot reach this one, nor others of its kind, and makes no others, so that nothing
    of it is left when this returns. Where `write` is given, it can write below that alone. It may
    be lost nevertheless: `UnsoundReportError` is raised where what it says is not sound.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _run(parent, writer, write, function, arguments)
    os.close(writer)
    try:
        end, run = _follow(reader, report)
    finally:
        os.close(reader)
    _, status = os.waitpid(pid, 0)
    if end.get("event") == "done":
        return end["outcome"]
    code = os.waitstatus_to_exitcode(status)
    if run is not None and not end and code in (OVERDUE, WAITED, -signal.SIGALRM):
        raise _beyond(run, waited=code == WAITED)
    what = run.what if run is not None else None
    error = _error(end, code, doing or what or report.doing)
    if run is not None and isinstance(error, CrashedError | MemoryRefusedError):
        error.what, error.images = run.what, run.images
    raise error


def _follow(reader: int, report: Report) -> tuple[dict[str, Any], Run | None]:
    """Hand on what a process tells; return the last event, and the run that it told last."""
    events, run = Events(), None
    while chunk := os.read(reader, _CHUNK_BYTES):
        for event in events.feed(chunk):
            if event["event"] == "running":
                run = told(event)
            elif event["event"] in {"step", "log"}:
                report.relay(event)
            else:
                return event, run  # somebody else may hold the pipe open
    return {}, run


def _run(
    parent: int,
    writer: int,
    write: Sequence[Path] | None,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> NoReturn:
    """Do the work and end the process, without what an interpreter does at its end."""
    # Above all the pipe to the worker, which believes what comes through it.
    os.closerange(3, writer)
    os.closerange(writer + 1, _MOST_DESCRIPTORS)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:

        def send(event: Any) -> None:
            pipe.write(json.dumps(event) + "\n")
            pipe.flush()

        try:
            if die_with_parent(parent):
                confine_alone(write)
                tell_runs(send)
                send({"event": "done", "outcome": function(Report(send), *arguments)})
        except BaseException as error:  # it must not get into the code of the process forked from
            send(as_event(error))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _beyond(run: Run, *, waited: bool) -> FreezeError:
    if waited:
        error = MemoryRefusedError.in_freeze(run.what)
        error.what, error.images = run.what, run.images
        return error
    return failure(
        "timed_out",
        f"{capital(run.what)} did not end within {run.limit.seconds:g} s "
        f"({run.limit.setting}), so nothing was published. Look for a loop in the model that never "
        "ends, or raise the limit if it is only slow.",
    )


def _error(end: dict[str, Any], status: int, doing: str) -> Exception:
    unforeseen = bool(end.get("unexpected"))
    without_words = unforeseen or not end.get("message")
    if end.get("code") == "out_of_memory" and without_words:
        return MemoryError()
    if not end and status == -signal.SIGKILL:
        return MemoryError()
    if unforeseen:
        return UnforeseenError(end["message"])
    if end:
        return failure(end["code"], end["message"])
    if status < 0:
        name = signal.Signals(-status).name
        return CrashedError(f"TensorFlow crashed while {doing} (signal {name}).")
    return UnforeseenError(f"the process ended with status {status} while {doing}")
