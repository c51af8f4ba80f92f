"""The memory of a worker process: when it has grown too much, and how much a run may take at once.

`MemoryLimit` is asked between two micro-batches. `MemoryHeadroom` is a limit that the kernel
enforces meanwhile (RLIMIT_DATA, which counts private writable memory, since Linux 4.7 also what
malloc maps): a run that takes too much gets an error, or at worst ends its own process, before
other processes lack memory. RLIMIT_AS would count address space, of which TensorFlow maps
gigabytes.
"""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_DRIFT_BYTES = 64 * 1024 * 1024  # by which a process may grow or shrink before the limit follows
_LOADED_SHARE = 1.25  # the limit, as a multiple of what the process has with its graphs loaded


def limit_data(most_bytes: int) -> None:
    """Allow this process no more private writable memory than `most_bytes`, until the next call."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


class MemoryHeadroom:
    """Keeps the limit at `bytes_above` what the process has between two runs. Safe for threads."""

    def __init__(self, bytes_above: int) -> None:
        self._bytes_above = bytes_above
        self._data = -_DRIFT_BYTES - 1
        self._lock = threading.Lock()

    def follow(self, data_bytes: int) -> None:
        """Set the limit above the private writable memory that the process has now."""
        if abs(data_bytes - self._data) > _DRIFT_BYTES:
            with self._lock:
                self._data = data_bytes
                limit_data(self._data + self._bytes_above)

    @contextmanager
    def raised(self, more_bytes: int) -> Iterator[None]:
        """Allow more within this, as to load a version."""
        with self._lock:
            self._bytes_above += more_bytes
            limit_data(max(0, self._data) + self._bytes_above)
        try:
            yield
        finally:
            with self._lock:
                self._bytes_above -= more_bytes
                self._data = -_DRIFT_BYTES - 1  # so that the limit follows next time


class MemoryLimit:
    """Knows when a process has grown too much and has to be replaced.

    A limit below what the graphs alone take would replace the process over and over. So the limit
    is never less than a quarter above what the process has once they are loaded.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._process = psutil.Process()
        self._limit = float(limit_bytes)
        self._headroom: MemoryHeadroom | None = None

    def bound(self, headroom: MemoryHeadroom) -> None:
        """Have the kernel limit what a micro-batch may take, beside this limit between two."""
        self._headroom = headroom
        self._measure()

    def settle(self) -> None:
        """Raise the limit to what the process has now and a quarter more, if it is lower."""
        self._limit = max(self._limit, self._measure() * _LOADED_SHARE)

    @property
    def used(self) -> int:
        """The resident set in bytes."""
        return int(self._process.memory_info().rss)

    @property
    def exceeded(self) -> bool:
        """Whether the process has to be replaced. To be asked between two micro-batches."""
        return self._measure() > self._limit

    def _measure(self) -> int:
        """Return the resident set in bytes, and have the headroom follow."""
        found = self._process.memory_info()
        if self._headroom is not None:
            self._headroom.follow(found.data)
        return int(found.rss)
