"""The gate between a worker's main process and the processes that it forks.

Celery's main process begins to take tickets only after its pool has started, so a process that has
loaded its graphs is not ready yet. The main process opens the gate once it consumes, and closes it
when it is asked to stop; the others look at it. It is one byte of memory that a fork shares.
"""

import mmap
import os

_NOT_YET, _OPEN, _CLOSED = 0, 1, 2

_byte = mmap.mmap(-1, 1)

# Whoever has the same mark was forked by the same main process.
MARK = os.urandom(4).hex()


def open_gate() -> None:
    """Say that tickets are taken from now on."""
    _byte[0] = _OPEN


def close_gate() -> None:
    """Say that no more tickets are taken, because the worker stops."""
    _byte[0] = _CLOSED


def is_open() -> bool:
    """Whether tickets are taken."""
    return _byte[0] == _OPEN


def is_closed() -> bool:
    """Whether the worker stops."""
    return _byte[0] == _CLOSED
