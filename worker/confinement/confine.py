"""Confining this process, and those forked from it, as far as the kernel can."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from worker.confinement.landlock import restrict_files
from worker.confinement.namespaces import leave_network
from worker.confinement.seccomp import install_filter
from worker.confinement.system import gain_no_privileges, hide_memory, keep_capabilities
from worker.errors import FreezeError

_ROOT = Path(__file__).resolve().parents[2]
# What Python, TensorFlow and the C library read besides Python's own folders. Of other processes
# in /proc, Landlock lets nothing be seen that is not public.
_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime"),
    *("/proc", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm"),
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"),
)
_DEVICES = ("/dev/null",)
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: a worker run by root takes files that others own.
_FILES_OF_OTHERS, _READING_OTHERS = 1 << 1 | 1 << 2, 1 << 2

_LANDLOCK, _FILTER = "Landlock", "a filter of system calls"
_REQUIRED = (_LANDLOCK, _FILTER)


# What was put in force in this process or the one that it was forked from.
_done: list["InForce"] = []


class NotConfinedError(FreezeError):
    """The kernel does not let a process be confined as the settings demand it."""

    code = "not_confined"


@dataclass(frozen=True, kw_only=True)
class InForce:
    """What is in force."""

    in_force: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # each with its reason

    def check(self, setting: str = "PERMAFROST_FREEZE_CONFINEMENT", what: str = "freeze") -> None:
        """Raise `NotConfinedError` unless the network and the files are out of reach.

        `setting` is what demands it, and `what` is what it forbids otherwise.
        """
        if not all(any(name.startswith(must) for name in self.in_force) for must in _REQUIRED):
            raise NotConfinedError(
                f"{self} {setting}=required forbids to {what} here: run the worker on Linux 5.13 "
                "or later, where its container allows Landlock and seccomp, or set it to auto."
            )

    def __str__(self) -> str:
        """Return it as a sentence."""
        said = f"Confined by {_listed(self.in_force)}." if self.in_force else "Not confined."
        return f"{said} Missing: {'; '.join(self.missing)}." if self.missing else said


def confine(read: Iterable[Path], write: Iterable[Path], *, alone: bool = False) -> InForce:
    """Leave to this process only what working on a model needs.

    That is reading below `read` and where Python lives, writing below `write`, and computing;
    unless it is `alone`, also making processes that are confined as it is. What the kernel has not
    is passed over. To be called while there is one thread.
    """
    found = InForce()
    if sys.platform != "linux":
        found.missing.append(f"everything (it needs Linux, this is {sys.platform})")
        return found

    def put(name: str, mechanism: Callable[[], object]) -> None:
        try:
            what = mechanism()
        except OSError as error:
            found.missing.append(f"{name} ({error.strerror})")
        else:
            found.in_force.append(f"{name} {what}" if isinstance(what, int) else name)

    _done.append(found)
    gain_no_privileges()
    put("a network namespace", leave_network)
    kept = _READING_OTHERS if alone else _FILES_OF_OTHERS
    put("no capabilities", lambda: keep_capabilities(kept if os.geteuid() == 0 else 0))
    hide_memory()  # not before: the maps of users must be written for a namespace
    paths = [Path(path) for path in _SYSTEM] + _python_folders()
    writable = [*write, *(Path(device) for device in _DEVICES)]
    put(_LANDLOCK, lambda: restrict_files([*paths, *read], writable))
    put(_FILTER, lambda: install_filter(alone=alone))
    return found


def confine_alone(write: Iterable[Path] | None) -> None:
    """Take away still more from a process that was forked from a confined one.

    It can read what that one can, and write below `write` only, where that is given; it can make no
    other process, and reach neither the memory nor the open files of the one that it was forked
    from. What the kernel has not was said of that one; where that one is not confined, neither is
    this. To be called while there is one thread.
    """
    if not _done:
        return
    writable = [Path("/")] if write is None else [*write, *(Path(name) for name in _DEVICES)]
    with contextlib.suppress(OSError):
        restrict_files([Path("/")], writable)
    with contextlib.suppress(OSError):
        install_filter(alone=True)


def _python_folders() -> list[Path]:
    """Return where this program and its libraries lie; not the folder with all of its data."""
    folders = [Path(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
    folders += [Path(path) for path in sys.path if path and Path(path).resolve() != _ROOT]
    return [*folders, _ROOT / "freezing", _ROOT / "worker"]


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
