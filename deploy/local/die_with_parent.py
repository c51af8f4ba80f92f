"""Runs a program so that it ends with the process that started it, however that one ends.

    python -I die_with_parent.py PROGRAM [ARGUMENT]...

On Linux the kernel is asked to send SIGTERM when the parent dies, even by SIGKILL, and the
program then takes this process's place. Elsewhere it only takes its place. It runs before every
service, so it imports little.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping

PARENT = "PERMAFROST_UP_PARENT"  # process id that this one must have for a parent
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(environment: Mapping[str, str]) -> None:
    """Ask for SIGTERM at the parent's death, and stop at once if it is dead already."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    # The parent may have died before the request was made.
    if environment.get(PARENT) not in (None, str(os.getppid())):
        sys.exit("die_with_parent: the process that started this one is gone.")


def main(command: list[str]) -> None:
    """Have this process end with its parent, and become the command."""
    die_with_parent(os.environ)
    # What the command starts through this module is to have the command itself for a parent.
    os.environ[PARENT] = str(os.getpid())
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted  # nosec B606


if __name__ == "__main__":
    main(sys.argv[1:])
