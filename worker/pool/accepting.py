"""Whether this worker accepts tickets: set by its main process, read by those that it forks.

Celery's main process takes tickets only after its pool has started, so a process that has loaded
its graphs is not ready yet. The main process says when it takes tickets, and when it was asked to
stop. The state is one byte of memory that forked processes share.
"""

import mmap
import os

_NOT_YET, _ACCEPTING, _STOPPING = 0, 1, 2

_state = mmap.mmap(-1, 1)

# Processes with the same id were forked by the same main process.
POOL_ID = os.urandom(4).hex()


def start_accepting() -> None:
    """Note that tickets are taken from now on."""
    _state[0] = _ACCEPTING


def stop_accepting() -> None:
    """Note that the worker stops and takes no more tickets."""
    _state[0] = _STOPPING


def is_accepting() -> bool:
    """Whether tickets are taken."""
    return _state[0] == _ACCEPTING


def is_stopping() -> bool:
    """Whether the worker stops."""
    return _state[0] == _STOPPING
