"""A network namespace of the process's own, with nothing in it."""

import os
from pathlib import Path

from worker.confinement.system import unshare

# From <linux/sched.h>.
_NEW_USER, _NEW_NETWORK, _NEW_IPC = 0x10000000, 0x40000000, 0x08000000


def leave_network() -> None:
    """Move this process to a network without interfaces, and away from shared memory by key.

    Root is allowed to; others must become root of a user namespace first, in which they keep their
    numbers. To be called while there is one thread. Raises `OSError` where it is not permitted.
    """
    try:
        unshare(_NEW_NETWORK | _NEW_IPC)
    except PermissionError:
        if not _can_be_mapped():
            raise
        _leave_as_user()


def _leave_as_user() -> None:
    user, group = os.geteuid(), os.getegid()
    unshare(_NEW_USER | _NEW_NETWORK | _NEW_IPC)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _can_be_mapped() -> bool:
    """Try it in another process: a user namespace in which a number fails cannot be left again."""
    pid = os.fork()
    if pid == 0:
        try:
            _leave_as_user()
        except OSError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return status == 0
