"""Whether other threads of this process work or wait, as Linux says."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")  # Linux only
_WORKING = frozenset("RD")  # running or waiting for a disk, see proc(5)
_observers: set[str] = set()  # ids of threads that only watch others


def start_observer(name: str, watch: Callable[[], object]) -> threading.Thread:
    """Start a thread that only watches others and does not count as one that works.

    A thread that wakes often is ready to run most of the time on a busy machine.
    """

    def run() -> None:
        me = str(threading.get_native_id())
        _observers.add(me)
        try:
            watch()
        finally:
            _observers.discard(me)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def others_wait() -> bool:
    """Whether all threads of this process but the caller's and observers wait for something.

    While a graph runs, at least one thread works, however busy the machine is. TensorFlow's
    allocator waits ten seconds for memory that the system refuses, in case some is freed. False
    where the system does not say.
    """
    me = str(threading.get_native_id())
    any_read = False
    for task in _TASKS.glob("*/stat"):
        if task.parent.name == me or task.parent.name in _observers:
            continue
        with suppress(OSError, IndexError):  # it may have ended meanwhile
            any_read = True
            # The name before the state stands in parentheses and may hold any.
            if task.read_text().rpartition(")")[2].split()[0] in _WORKING:
                return False
    return any_read
