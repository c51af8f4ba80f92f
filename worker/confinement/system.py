"""System calls that Python has no function for."""

import ctypes
import os
import signal
import sys

# From <linux/prctl.h>.
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_CAPABILITY_VERSION_3 = 0x20080522  # from <linux/capability.h>

_libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: object) -> int:
    """Make the system call; raise `OSError` where it fails."""
    return _checked(_libc.syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, *arguments: int) -> int:
    """Change this process; all arguments are unsigned longs. Raises `OSError`."""
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _checked(_libc.prctl(option, *(ctypes.c_ulong(argument) for argument in padded)))


def gain_no_privileges() -> None:
    """Let neither this process nor its children become more than they are, whatever they run."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def unshare(flags: int) -> None:
    """Leave the namespaces of the flags; raise `OSError` where it is not permitted."""
    _checked(_libc.unshare(flags))


def keep_capabilities(kept: int) -> None:
    """Give up what root may do, but for the capabilities in this set of bits."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Effective, permitted and inheritable, for the capabilities below 32 and for the rest.
    sets = (ctypes.c_uint32 * 6)()
    _checked(_libc.capget(header, sets))
    left = kept & sets[1]
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)(left, left, 0, 0, 0, 0)))


def die_with_parent(parent: int) -> bool:
    """Ask Linux to kill this process when its parent dies; False where it has died already."""
    if sys.platform == "linux":
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent


def hide_memory() -> None:
    """Keep other processes of the same user from this one's memory and environment."""
    prctl(_PR_SET_DUMPABLE, 0)


def show_memory() -> None:
    """Undo `hide_memory`, which processes forked from one that did it have inherited."""
    prctl(_PR_SET_DUMPABLE, 1)


def adopt_orphans(adopt: bool) -> None:
    """Become the parent of whatever a child of this process leaves behind, or be it no longer."""
    prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
