"""The limits of a child process: memory, priority, and an end with its parent."""

import ctypes
import os
import resource
import signal
import sys

_NICENESS = 5  # predictions go first
_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def die_with(parent: int) -> bool:
    """Ask Linux to kill this process when its parent dies; False where it has died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent


def limit(memory_bytes: int) -> None:
    """Bound the memory of this process and of each forked from it, and let others go first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # RLIMIT_AS would count address space, of which TensorFlow maps a gigabyte of libraries;
    # RLIMIT_DATA counts private writable memory, since Linux 4.7 also what malloc maps.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    os.nice(_NICENESS)
