"""A filter of system calls: no network, no other programs, no reach into other processes.

The filter is a program for the kernel's packet filter machine (Documentation/userspace-api/
seccomp_filter.rst in the kernel's source), which sees the number of a call and its arguments. It
holds for all processes forked from this one, and cannot be taken off. A process may put another one
over it, which takes away more.
"""

import ctypes
import errno
import os
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
    # the network, also that between processes of one machine; and taking what one has elsewhere
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    # other programs, and leaving the group of processes that is killed in the end
    "execve": (59, 221),
    "execveat": (322, 281),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # other processes
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
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
    "quotactl": (179, 60),
    "fanotify_init": (300, 262),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "personality": (135, 92),
    "syslog": (103, 116),
}
# What is answered as by a kernel that does not know the call, so that libraries do without.
_UNKNOWN = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435}
_CLONE, _CLONE_THREAD = (56, 220), 0x00010000
_KILL, _TGKILL = (62, 129), (234, 131)
# On aarch64 there are none; -1 is no call's number.
_FORKS = {"fork": (57, 0xFFFFFFFF), "vfork": (58, 0xFFFFFFFF)}
_SOCK_DGRAM_OR_RAW, _MSG_FASTOPEN = 0b10, 0x20000000
_MACHINES = ("x86_64", "aarch64")
_AUDIT = (0xC000003E, 0xC00000B7)  # AUDIT_ARCH_* of <linux/audit.h>


class Instruction(NamedTuple):
    """One step of the filter: `struct sock_filter`."""

    code: int
    if_true: int  # steps to skip
    if_false: int
    constant: int


class _Test(NamedTuple):
    """A look at one argument of a call."""

    argument: int
    code: int
    constant: int


class _Rule(NamedTuple):
    """A call that is refused, or else allowed, where one of the tests holds."""

    numbers: tuple[int, int]
    tests: tuple[_Test, ...]
    allows: bool = False


# Calls that are refused with some arguments.
_CONDITIONS = {
    "prlimit64": _Rule((302, 261), (_Test(0, _EQUAL, 0),), allows=True),  # of itself
    "setpriority": _Rule((141, 140), (_Test(1, _EQUAL, 0),), allows=True),
    # Such sockets can send to others although they come in pairs.
    "socketpair": _Rule((53, 199), (_Test(1, _ANY_BIT, _SOCK_DGRAM_OR_RAW),)),
    # Connects a socket whose connection is over.
    "sendto": _Rule((44, 206), (_Test(3, _ANY_BIT, _MSG_FASTOPEN),)),
    "sendmsg": _Rule((46, 211), (_Test(2, _ANY_BIT, _MSG_FASTOPEN),)),
    "sendmmsg": _Rule((307, 269), (_Test(3, _ANY_BIT, _MSG_FASTOPEN),)),
    # Threads and forks, but no namespaces, in which one would be root.
    "clone": _Rule(_CLONE, (_Test(0, _ANY_BIT, _NEW_NAMESPACES),)),
}


def install_filter(*, alone: bool = False) -> None:
    """Put the filter in force; raise `OSError` where the kernel or the machine has none.

    `alone` is for a process that makes no others: it can only signal itself, look whether others
    live, and make threads, so that nothing is left of it once it is killed.
    """
    program = filter_program(platform.machine(), alone=os.getpid() if alone else None)
    steps = (_SockFilter * len(program))(*(_SockFilter(*step) for step in program))
    whole = _SockProgram(len(program), steps)
    gain_no_privileges()
    prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(whole))


def filter_program(machine: str, *, alone: int | None = None) -> list[Instruction]:
    """Return the filter for a machine as `uname -m` names it; raise `OSError` for others.

    `alone` is the number of a process that makes no others.
    """
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no filter of system calls for {machine}")
    return list(_instructions(_MACHINES.index(machine), alone))


def _instructions(machine: int, alone: int | None) -> Iterator[Instruction]:
    yield Instruction(_LOAD, 0, 0, _ARCHITECTURE)
    yield Instruction(_EQUAL, 1, 0, _AUDIT[machine])
    yield Instruction(_RETURN, 0, 0, _KILL_PROCESS)
    yield Instruction(_LOAD, 0, 0, _NUMBER)
    yield Instruction(_AT_LEAST, 0, 1, _X32)
    yield Instruction(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    refused = [numbers[machine] for numbers in _REFUSED.values()]
    rules = [*_CONDITIONS.values()]
    if alone is None:
        refused.append(_KILL[machine])
    else:
        refused += [numbers[machine] for numbers in _FORKS.values()]
        itself = _Test(0, _EQUAL, alone)
        rules += [
            _Rule(_CLONE, (_Test(0, _ANY_BIT, _CLONE_THREAD),), allows=True),
            _Rule(_TGKILL, (itself,), allows=True),
            _Rule(_KILL, (itself, _Test(1, _EQUAL, 0)), allows=True),
        ]
    for number in refused:
        yield Instruction(_EQUAL, 0, 1, number)
        yield _REFUSAL
    for number in _UNKNOWN.values():
        yield Instruction(_EQUAL, 0, 1, number)
        yield Instruction(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    for rule in rules:
        yield from _conditional(rule, rule.numbers[machine])
    yield Instruction(_RETURN, 0, 0, _ALLOW)


_REFUSAL = Instruction(_RETURN, 0, 0, _ERRNO | errno.EACCES)


def _conditional(rule: _Rule, number: int) -> Iterator[Instruction]:
    """Give the steps of a rule, behind which the number of the call is loaded again."""
    steps: list[Instruction] = []
    for place, test in enumerate(rule.tests):
        steps.append(Instruction(_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * test.argument))
        if rule.allows:  # on to behind the refusal, past the tests that are left
            left = len(rule.tests) - place - 1
            steps.append(Instruction(test.code, 2 * left + 1, 0, test.constant))
        else:
            steps += [Instruction(test.code, 0, 1, test.constant), _REFUSAL]
    if rule.allows:
        steps.append(_REFUSAL)
    steps.append(Instruction(_LOAD, 0, 0, _NUMBER))
    yield Instruction(_EQUAL, 0, len(steps), number)
    yield from steps


class _SockFilter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jt", ctypes.c_uint8),
        ("jf", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _SockProgram(ctypes.Structure):
    _fields_ = (("len", ctypes.c_uint16), ("filter", ctypes.POINTER(_SockFilter)))
