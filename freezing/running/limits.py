"""The limits of a child process: memory and priority."""

import os
import resource

_NICENESS = 5  # predictions go first


def limit(memory_bytes: int) -> None:
    """Bound the memory of this process and of each forked from it, and let others go first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # RLIMIT_AS would count address space, of which TensorFlow maps a gigabyte of libraries;
    # RLIMIT_DATA counts private writable memory, since Linux 4.7 also what malloc maps.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    let_others_first()


def let_others_first() -> None:
    """Let predictions have the processor before this process and those forked from it."""
    present = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(present, _NICENESS))
