"""The scoreboard: what each process of a worker runs and its deadline, in shared memory.

A process limits itself, but one that hangs in a library which keeps the interpreter's lock cannot,
and one that crashed leaves no message. So each process writes its deadline, and the version whose
graph it loads or runs, into its slot. The main process kills processes that are past their
deadline. A process that replaces a dead one reads in the slot which version that one was running.

As in Apache's scoreboard, the memory is shared by fork. Times are those of the system's monotonic
clock, which is the same for all processes.
"""

import mmap
import os
import signal
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

import psutil

_SLOTS = 1024  # processes of one worker; further ones have only Celery's time limit
_GRACE_S = 2.0  # time in which an overdue process may end itself, which can report why
_HEAD = struct.Struct("@qd")  # pid and deadline; the deadline is 0 while nothing runs
_END = struct.Struct("@b")  # how the process was ended, an index in `_ENDS`
_VERSION = struct.Struct("@96p")  # NAME@VERSION, of at most 64 and 10 characters; empty for none
_END_AT, _RUN_AT, _LOAD_AT = 16, 24, 120  # places in a slot, in bytes
_SLOT_BYTES = 216
_ENDS = ("", "crashed", "timed_out")
# Signals of a process that did something wrong; other signals come from outside.
_CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}
)

_memory = mmap.mmap(-1, _SLOTS * _SLOT_BYTES)


class Casualty(NamedTuple):
    """What the process before this one in the same slot was running when it was ended."""

    version: str  # NAME@VERSION
    code: str  # crashed or timed_out


class Slot:
    """The slot of this process.

    `number` is the process's place in the pool, which no other one has; None where there is no
    pool, and then nothing is written.
    """

    def __init__(self, number: int | None) -> None:
        self._offset = None if number is None or number >= _SLOTS else number * _SLOT_BYTES
        self.casualty = None if self._offset is None else _casualty(self._offset)
        if self._offset is not None:
            _END.pack_into(_memory, self._offset + _END_AT, 0)
        for loading in (False, True):
            self.set_version("", loading=loading)
        self.set_deadline(0.0)

    def set_deadline(self, at: float) -> None:
        """Write the deadline; 0 where there is none."""
        if self._offset is not None:
            _HEAD.pack_into(_memory, self._offset, os.getpid(), at)

    def set_version(self, version: str, *, loading: bool) -> None:
        """Write whose graph is loaded or run from now on; empty for none."""
        if self._offset is not None:
            place = self._offset + (_LOAD_AT if loading else _RUN_AT)
            _VERSION.pack_into(_memory, place, version.encode())


def overdue() -> Iterator[int]:
    """Give the ids of this process's children that have missed their deadline, each once."""
    now = time.monotonic()
    for offset in range(0, len(_memory), _SLOT_BYTES):
        pid, at = _HEAD.unpack_from(_memory, offset)
        if not 0.0 < at < now - _GRACE_S:
            continue
        _HEAD.pack_into(_memory, offset, pid, 0.0)
        try:
            if psutil.Process(pid).ppid() == os.getpid():
                _END.pack_into(_memory, offset + _END_AT, _ENDS.index("timed_out"))
                yield pid
        except psutil.Error:  # it has ended meanwhile
            continue


def record_exit(pid: int, exit_code: int | None) -> None:
    """Write how a child of this process ended, for the process that replaces it.

    `exit_code` is negative for a signal.
    """
    for offset in range(0, len(_memory), _SLOT_BYTES):
        if _HEAD.unpack_from(_memory, offset)[0] == pid:
            if exit_code is not None and -exit_code in _CRASHES:
                _END.pack_into(_memory, offset + _END_AT, _ENDS.index("crashed"))
            return


def _casualty(offset: int) -> Casualty | None:
    code = _ENDS[_END.unpack_from(_memory, offset + _END_AT)[0]]
    for place in (_RUN_AT, _LOAD_AT):
        version = _VERSION.unpack_from(_memory, offset + place)[0].decode()
        if code and version:
            return Casualty(version, code)
    return None
