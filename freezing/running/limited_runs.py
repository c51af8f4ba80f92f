"""Runs of a model that nobody knows yet, in limited time and told before they begin.

Only in a process that `forks` made for them: what goes beyond its limits ends that alone, and the
one that it was forked from says what it was running.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from freezing.running.failures import MemoryRefusedError
from worker.inference.trial_limits import end_in_time
from worker.out_of_memory import is_out_of_memory


@dataclass(frozen=True, kw_only=True)
class TimeLimit:
    """How long runs may take, and the setting that says so."""

    seconds: float
    setting: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is run, as in "running a white picture did not end", and of how many images."""

    what: str
    images: int
    limit: TimeLimit


_limit: TimeLimit | None = None  # of this process and those forked from it
_tell: Callable[[dict[str, Any]], None] | None = None  # where this process was made for runs


def limit_runs(limit: TimeLimit) -> None:
    """Let each process that will be forked from this one run models for so long."""
    global _limit  # noqa: PLW0603 - a limit of the process, as those that the kernel keeps are
    _limit = limit


def tell_runs(tell: Callable[[dict[str, Any]], None]) -> None:
    """Take note that this process was made for runs, and where they are told."""
    global _tell  # noqa: PLW0603 - as above
    _tell = tell


@contextmanager
def limited(what: str, limit: TimeLimit | None = None) -> Iterator[Callable[[str, int], None]]:
    """Have this process end where what is done takes too long, or waits for refused memory.

    Gives a function by which further runs are told, with how many images each has. Raises
    `MemoryRefusedError` where a library says that memory ran out.
    """
    tell, limit = _tell, limit or _limit
    if tell is None or limit is None:  # in a process that others need
        yield lambda _what, _images: None
        return

    def running(what: str, images: int) -> None:
        tell({"event": "running", **vars(limit), "what": what, "images": images})

    running(what, 1)
    stop = end_in_time(limit.seconds)
    try:
        yield running
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryRefusedError.in_freeze(what) from error
        raise
    finally:
        stop()


def told(event: dict[str, Any]) -> Run:
    """Return the run that an event tells of."""
    limit = TimeLimit(seconds=event["seconds"], setting=event["setting"])
    return Run(what=event["what"], images=event["images"], limit=limit)
