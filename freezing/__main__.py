"""The child process of one freeze or inspection: `python -m freezing`, started by `process`.

Reads one JSON order from standard input and writes events as JSON lines to standard output:
`{"event": "log", "message"}` as steps begin, and at the end either `{"event": "done", "outcome"}`
or `{"event": "failed", "code", "message"}`. Whatever else is printed goes to standard error.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import IO, Any

from freezing.reasons import reason
from worker.errors import FreezeError, PermafrostError
from worker.jobs.requests import FreezeRequest, InspectionRequest

_NICENESS = 5  # predictions go first
_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def main() -> int:
    """Do what standard input asks for; return the exit code."""
    events = _take_stdout()
    order = json.load(sys.stdin)
    if not _die_with(order["parent"]):
        return 1
    _limit(order["memory_bytes"])
    os.nice(_NICENESS)
    try:
        outcome = _ACTIONS[order["action"]](order, events)
    except PermafrostError as error:
        code = error.code if isinstance(error, FreezeError) else FreezeError.code
        _send(events, event="failed", code=code, message=error.message)
    except MemoryError:
        _send(events, event="failed", code="out_of_memory", message="")
    except Exception as error:  # a person gets a sentence, the log the rest
        traceback.print_exc()
        code = "out_of_memory" if _is_out_of_memory(error) else FreezeError.code
        message = f"The source could not be {_DONE[order['action']]}: {reason(error)}."
        _send(events, event="failed", code=code, message=message, unexpected=True)
    else:
        _send(events, event="done", outcome=outcome)
    return 0


def _freeze(order: dict[str, Any], events: IO[str]) -> dict[str, Any]:
    _send(events, event="log", message="Starting TensorFlow ...")
    # TensorFlow is loaded under the limits, and not before they stand.
    from freezing.pipeline import run  # noqa: PLC0415

    return run(
        FreezeRequest.parse(order["request"]),
        Path(order["source"]),
        Path(order["graph"]),
        order["tolerance"],
        lambda message: _send(events, event="log", message=message),
    )


def _inspect(order: dict[str, Any], events: IO[str]) -> dict[str, Any]:
    _send(events, event="log", message="Starting TensorFlow ...")
    from freezing.inspection import inspect  # noqa: PLC0415 - as above

    return inspect(
        InspectionRequest.parse(order["request"]),
        Path(order["source"]),
        lambda message: _send(events, event="log", message=message),
    ).model_dump(mode="json")


_ACTIONS = {"freeze": _freeze, "inspect": _inspect}
_DONE = {"freeze": "frozen", "inspect": "inspected"}


def _take_stdout() -> IO[str]:
    """Return standard output for events alone; what libraries print goes to standard error."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _die_with(parent: int) -> bool:
    """Ask Linux to kill this process when its parent dies; False where it has died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # RLIMIT_AS would count address space, of which TensorFlow maps a gigabyte of libraries;
    # RLIMIT_DATA counts private writable memory, since Linux 4.7 also what malloc maps.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _send(events: IO[str], **event: Any) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()


def _is_out_of_memory(error: Exception) -> bool:
    return type(error).__name__ == "ResourceExhaustedError" or "bad_alloc" in str(error)


if __name__ == "__main__":
    sys.exit(main())
