"""What the threads of this process do: to tell work from waiting."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")  # Linux only
_WORKING = frozenset("RD")  # running or waiting for a disk, see proc(5)
_onlookers: set[str] = set()  # ids of threads that only look at what others do


def start_onlooker(name: str, look: Callable[[], object]) -> threading.Thread:
    """Start a thread that only looks at what others do, and does not count as one that works.

    One that looks often is ready to run most of the time on a machine that is busy.
    """

    def run() -> None:
        me = str(threading.get_native_id())
        _onlookers.add(me)
        try:
            look()
        finally:
            _onlookers.discard(me)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def others_wait() -> bool:
    """Whether no thread of this process but the caller's works: all others wait for something.

    Threads that only look on are not counted.

    While a graph is run, one thread at least works, be the machine as busy as it may. TensorFlow's
    allocator waits ten seconds for memory that the system refuses, in case that some is freed.
    False where the system does not tell.
    """
    me = str(threading.get_native_id())
    told = False
    for task in _TASKS.glob("*/stat"):
        if task.parent.name == me or task.parent.name in _onlookers:
            continue
        with suppress(OSError, IndexError):  # it may have ended meanwhile
            told = True
            # The name before the state stands in parentheses and may hold any.
            if task.read_text().rpartition(")")[2].split()[0] in _WORKING:
                return False
    return told
