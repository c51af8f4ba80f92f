"""Deadlines: by when each process of a worker will be done with what it runs, and what that is.

A process watches over itself, but one that hangs in a library which keeps the interpreter's lock
cannot, and one that crashed says nothing. So each notes its deadline, and the version whose graph
it loads or runs, in memory that a fork shares. The main process kills who is overdue, and who takes
the place of one that died learns of which version that was. The clock is the system's monotonic
one, which all processes have in common.
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
_GRACE_S = 2.0  # for a process to end itself, which can say why
_HEAD = struct.Struct("@qd")  # pid and deadline; 0 while nothing runs
_END = struct.Struct("@b")  # how the process was ended, see `_ENDS`
_VERSION = struct.Struct("@96p")  # NAME@VERSION, of at most 64 and 10 characters; empty for none
_END_AT, _RUN_AT, _LOAD_AT = 16, 24, 120
_SLOT_BYTES = 216
_ENDS = ("", "crashed", "timed_out")
# By which a process ends that did something wrong; by others it is ended from outside.
_CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}
)

_memory = mmap.mmap(-1, _SLOTS * _SLOT_BYTES)


class Casualty(NamedTuple):
    """What the process did that had this one's place before, when it was ended."""

    version: str  # NAME@VERSION
    code: str  # crashed or timed_out


class Deadline:
    """The deadline of this process.

    `number` is its place in the pool, which no other one has; None where there is no pool.
    """

    def __init__(self, number: int | None) -> None:
        self._offset = None if number is None or number >= _SLOTS else number * _SLOT_BYTES
        self.casualty = None if self._offset is None else _casualty(self._offset)
        if self._offset is not None:
            _END.pack_into(_memory, self._offset + _END_AT, 0)
        for loading in (False, True):
            self.note("", loading=loading)
        self.set(0.0)

    def set(self, at: float) -> None:
        """Note the deadline, or with 0 that there is none."""
        if self._offset is not None:
            _HEAD.pack_into(_memory, self._offset, os.getpid(), at)

    def note(self, version: str, *, loading: bool) -> None:
        """Note whose graph is loaded or run from now on; empty for none."""
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


def note_death(pid: int, exit_code: int | None) -> None:
    """Note how a child of this process ended, for who takes its place.

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
