"""Deadlines: by when each process of a worker will be done with what it runs.

A process watches over itself, but one that hangs in a library which keeps the interpreter's lock
cannot. So each notes its deadline in memory that a fork shares, and the main process kills who is
overdue. The clock is the system's monotonic one, which all processes have in common.
"""

import mmap
import os
import struct
import time
from collections.abc import Iterator

import psutil

_SLOTS = 1024  # processes of one worker; further ones have only Celery's time limit
_GRACE_S = 2.0  # for a process to end itself, which can say why
_SLOT = struct.Struct("@qd")  # pid and deadline; 0 while nothing runs

_memory = mmap.mmap(-1, _SLOTS * _SLOT.size)


class Deadline:
    """The deadline of this process.

    `number` is its place in the pool, which no other one has; None where there is no pool.
    """

    def __init__(self, number: int | None) -> None:
        self._offset = None if number is None or number >= _SLOTS else number * _SLOT.size
        self.set(0.0)

    def set(self, at: float) -> None:
        """Note the deadline, or with 0 that there is none."""
        if self._offset is not None:
            _SLOT.pack_into(_memory, self._offset, os.getpid(), at)


def overdue() -> Iterator[int]:
    """Give the ids of this process's children that have missed their deadline, each once."""
    now = time.monotonic()
    for offset in range(0, len(_memory), _SLOT.size):
        pid, at = _SLOT.unpack_from(_memory, offset)
        if not 0.0 < at < now - _GRACE_S:
            continue
        _SLOT.pack_into(_memory, offset, pid, 0.0)
        try:
            if psutil.Process(pid).ppid() == os.getpid():
                yield pid
        except psutil.Error:  # it has ended meanwhile
            continue
