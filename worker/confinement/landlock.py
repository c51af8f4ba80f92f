"""A view of the file system in which only named paths exist for reading, and fewer for writing.

Landlock is in Linux since 5.13; what it can refuse grew since then, and this uses what there is.
Source: Documentation/userspace-api/landlock.rst in the kernel's source.
"""

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from worker.confinement.system import call, gain_no_privileges

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # on every machine
_VERSION_FLAG, _PATH_BENEATH = 1, 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FIRST = (1 << 13) - 1  # what the first version knows: execute, write, read, remove, make
_READ = _READ_FILE | _READ_DIR
_ON_FILES = 1 | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_SPECIAL = sum(1 << bit for bit in (6, 10, 11))  # devices; sockets and pipes too are not needed
_BIND_AND_CONNECT = 0b11  # of TCP
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # of processes outside


def version() -> int:
    """Return the version that the kernel has; raise `OSError` where it has none."""
    return call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))


def restrict_files(read: Iterable[Path], write: Iterable[Path]) -> int:
    """Let this process read below `read` and also write below `write`; return Landlock's version.

    Nothing can be run, and nothing else can be opened. Paths that do not exist are passed over.
    Where the kernel can, no TCP connection can be made and no signal sent to a process outside.
    Raises `OSError` where the kernel has no Landlock.
    """
    known = version()
    handled = _FIRST
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        handled |= right if known >= since else 0
    attributes = (ctypes.c_uint64 * 3)(
        handled,
        _BIND_AND_CONNECT if known >= 4 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if known >= 6 else 0,
    )
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    ruleset = call(_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in read:
            _allow(ruleset, path, _READ & handled)
        for path in write:
            _allow(ruleset, path, handled & ~1 & ~_SPECIAL & ~_IOCTL_DEV)
        gain_no_privileges()
        call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return known


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                rights &= _ON_FILES
            rule = _PathBeneath(rights, descriptor)
            call(
                _ADD_RULE,
                ctypes.c_int(ruleset),
                ctypes.c_int(_PATH_BENEATH),
                ctypes.byref(rule),
                ctypes.c_uint32(0),
            )
        finally:
            os.close(descriptor)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))
