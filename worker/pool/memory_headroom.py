"""Headroom: how much more memory this process may take at once.

It is a limit that the kernel keeps (RLIMIT_DATA, which counts private writable memory, since Linux
4.7 also what malloc maps): a run of a graph that swells gets an error, or at worst ends its own
process, before it takes the memory of others. RLIMIT_AS would count address space, of which
TensorFlow maps gigabytes.
"""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_DRIFT_BYTES = 64 * 1024 * 1024  # by which a process may grow or shrink before the limit follows


def limit_data(most_bytes: int) -> None:
    """Let this process have no more private writable memory than so much, until told otherwise."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


class Headroom:
    """Keeps the limit so much above what the process has between two runs. Safe for threads."""

    def __init__(self, room_bytes: int) -> None:
        self._room = room_bytes
        self._data = -_DRIFT_BYTES - 1
        self._lock = threading.Lock()

    def follow(self, data_bytes: int) -> None:
        """Take note of the private writable memory that the process has now."""
        if abs(data_bytes - self._data) > _DRIFT_BYTES:
            with self._lock:
                self._data = data_bytes
                limit_data(self._data + self._room)

    @contextmanager
    def more(self, more_bytes: int) -> Iterator[None]:
        """Leave more room for a while, as to load a version."""
        with self._lock:
            self._room += more_bytes
            limit_data(max(0, self._data) + self._room)
        try:
            yield
        finally:
            with self._lock:
                self._room -= more_bytes
                self._data = -_DRIFT_BYTES - 1  # so that the limit follows next time
