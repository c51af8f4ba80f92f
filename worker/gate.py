"""The gate between a worker's main process and the processes that it forks.

Celery's main process begins to take tickets only after its pool has started, so a process that has
loaded its graphs is not ready yet. The main process opens the gate once it consumes; the others
look at it. It is one byte of memory that a fork shares.
"""

import mmap

_byte = mmap.mmap(-1, 1)


def open_gate() -> None:
    """Say that tickets are taken from now on."""
    _byte[0] = 1


def is_open() -> bool:
    """Whether tickets are taken."""
    return _byte[0] == 1
