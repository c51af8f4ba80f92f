"""The child process of one freeze or inspection, forked by `fork_server` or `python -m freezing`.

Reads one order (`running.orders`) as JSON from standard input and writes events as JSON lines to
standard output: `{"event": "step", "step"}` as steps begin, `{"event": "log", "message"}` about
them, and at the end either `{"event": "done", "outcome"}` or
`{"event": "failed", "code", "message"}`. Whatever else is printed goes to standard error.

It loads TensorFlow and does nothing else with it: all work is done in processes forked from it.
"""

import json
import os
import sys
from typing import IO, Any

from freezing.running.failures import as_event
from freezing.running.limited_runs import TimeLimit, limit_runs
from freezing.running.limits import limit
from freezing.running.orders import Bounds, ComparisonOrder, FreezeOrder, Order, read_order
from freezing.running.steps import Report
from worker.confinement.confine import confine
from worker.confinement.system import die_with_parent

_LEAST_BYTES = 32 << 20  # beyond what is loaded, without which nothing can be read


def main() -> int:
    """Do what standard input asks for; return the exit code."""
    events = _take_stdout()
    order = read_order(sys.stdin.read())
    bounds = order.bounds
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
    if not die_with_parent(bounds.parent):
        return 1
    limit(bounds.memory_bytes)
    limit_runs(
        TimeLimit(seconds=bounds.verify_time_limit_s, setting="PERMAFROST_VERIFY_TIME_LIMIT_S")
    )
    report = Report(lambda event: _send(events, **event))
    try:
        bytearray(_LEAST_BYTES)  # a limit that is too low is said at once
        _confine(bounds, events)
        outcome = _work(order, report)
    except Exception as error:  # a person gets a sentence, the log the rest
        event = as_event(error)
        if event.get("unexpected"):
            event["message"] = f"The source could not be {_DONE[order.action]}: {event['message']}."
        _send(events, **event)
    else:
        _send(events, event="done", outcome=outcome)
    return 0


def _confine(bounds: Bounds, events: IO[str]) -> None:
    """Give up what the work does not need, while there is one thread."""
    if bounds.confinement == "off":
        return
    found = confine(bounds.read, bounds.write)
    if bounds.confinement == "required":
        found.check()
    _send(events, event="confined", sentence=str(found), missing=found.missing)


def _work(order: Order, report: Report) -> Any:
    """Do what the order says; return the outcome as JSON."""
    # What follows loads TensorFlow, which starts threads.
    if isinstance(order, FreezeOrder):
        from freezing.stages import run  # noqa: PLC0415

        return run(order, report).model_dump(mode="json")
    from freezing.running.forks import apart  # noqa: PLC0415

    if isinstance(order, ComparisonOrder):
        from freezing.proving.compare import compare  # noqa: PLC0415

        return apart(report, compare, order, write=[])
    from freezing.inspecting.inspection import inspect  # noqa: PLC0415

    return apart(report, inspect, order)


_DONE = {"freeze": "frozen", "inspect": "inspected", "compare": "tried"}


def _take_stdout() -> IO[str]:
    """Return standard output for events alone; what libraries print goes to standard error."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _send(events: IO[str], **event: Any) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # without what TensorFlow does at an ordinary end, which takes half a second
