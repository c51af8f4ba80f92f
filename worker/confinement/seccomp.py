"""A filter of system calls: no network, no other programs, no reach into other processes.

The filter is a program for the kernel's packet filter machine (Documentation/userspace-api/
seccomp_filter.rst in the kernel's source), which sees the number of a call and its arguments. It
holds for all processes forked from this one, and cannot be taken off.
"""

import ctypes
import errno
import platform
from collections.abc import Iterator
from typing import NamedTuple

from worker.confinement.system import gain_no_privileges, prctl

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2  # from <linux/prctl.h> and <linux/seccomp.h>
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
# Offsets in struct seccomp_data; arguments are 64 bits wide, of which these are the lower half.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
# From <linux/bpf_common.h>: load a word, return, and compare with a constant.
_LOAD, _RETURN, _EQUAL, _AT_LEAST, _ANY_BIT = 0x20, 0x06, 0x15, 0x35, 0x45

_NEW_NAMESPACES = 0x7E020000 | 0x00000080  # CLONE_NEW* of <linux/sched.h>
_X32 = 0x40000000  # marks calls of an interface for 32 bits, by other numbers


# Numbers on x86-64 and aarch64 of what is refused; what is newer has one number on both.
_REFUSED = {
    # the network, also that between processes of one machine
    "socket": (41, 198),
    # other programs, and leaving the group of processes that is killed in the end
    "execve": (59, 221),
    "execveat": (322, 281),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # other processes
    "kill": (62, 129),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    # another view of the system
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    # the kernel
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
}
# What is answered as by a kernel that does not know the call, so that libraries do without.
_UNKNOWN = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435}
_CLONE = (56, 220)
_MACHINES = ("x86_64", "aarch64")
_AUDIT = (0xC000003E, 0xC00000B7)  # AUDIT_ARCH_* of <linux/audit.h>


class Instruction(NamedTuple):
    """One step of the filter: `struct sock_filter`."""

    code: int
    if_true: int  # steps to skip
    if_false: int
    constant: int


def install_filter() -> None:
    """Put the filter in force; raise `OSError` where the kernel or the machine has none."""
    program = filter_program(platform.machine())
    steps = (_SockFilter * len(program))(*(_SockFilter(*step) for step in program))
    whole = _SockProgram(len(program), steps)
    gain_no_privileges()
    prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(whole))


def filter_program(machine: str) -> list[Instruction]:
    """Return the filter for a machine as `uname -m` names it; raise `OSError` for others."""
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no filter of system calls for {machine}")
    return list(_instructions(_MACHINES.index(machine)))


def _instructions(machine: int) -> Iterator[Instruction]:
    yield Instruction(_LOAD, 0, 0, _ARCHITECTURE)
    yield Instruction(_EQUAL, 1, 0, _AUDIT[machine])
    yield Instruction(_RETURN, 0, 0, _KILL_PROCESS)
    yield Instruction(_LOAD, 0, 0, _NUMBER)
    yield Instruction(_AT_LEAST, 0, 1, _X32)
    yield Instruction(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    for numbers in _REFUSED.values():
        yield Instruction(_EQUAL, 0, 1, numbers[machine])
        yield Instruction(_RETURN, 0, 0, _ERRNO | errno.EACCES)
    for number in _UNKNOWN.values():
        yield Instruction(_EQUAL, 0, 1, number)
        yield Instruction(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    # Threads and forks, but no namespaces, in which one would be root.
    yield Instruction(_EQUAL, 0, 3, _CLONE[machine])
    yield Instruction(_LOAD, 0, 0, _FIRST_ARGUMENT)
    yield Instruction(_ANY_BIT, 0, 1, _NEW_NAMESPACES)
    yield Instruction(_RETURN, 0, 0, _ERRNO | errno.EACCES)
    yield Instruction(_RETURN, 0, 0, _ALLOW)


class _SockFilter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jt", ctypes.c_uint8),
        ("jf", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _SockProgram(ctypes.Structure):
    _fields_ = (("len", ctypes.c_uint16), ("filter", ctypes.POINTER(_SockFilter)))
