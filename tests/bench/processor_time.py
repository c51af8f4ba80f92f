"""Who uses the processors: the kernel's own accounting, by what a process is."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from tests.bench.processes import role_of

# What is told apart of the local system where it is the product that is measured.
_ROLES = {
    "redis": "redis",
    "api": "api",
    "api's parent": "api",
    "inference": "worker children",
    "inference's parent": "worker main",
}
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def used_ms(roles: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Return the processor time in ms that the processes of each role have used, to 10 ms."""
    return {role: sum(_used_ms(pid) for pid in pids) for role, pids in roles.items()}


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what was used meanwhile, by role."""
    return {role: after[role] - before.get(role, 0.0) for role in after}


def family(pid: int) -> dict[str, list[int]]:
    """Return a server's processes by role: the one that was started, and all that came of it."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return {}
    return {"main": [pid], "children": [child.pid for child in children]}


def of_permafrost(processes: Iterable[psutil.Process]) -> dict[str, list[int]]:
    """Return the processes of the local system by role."""
    roles: dict[str, list[int]] = {}
    for process in processes:
        try:
            roles.setdefault(_ROLES.get(role_of(process), "the rest"), []).append(process.pid)
        except psutil.Error:
            continue
    return roles


def _used_ms(pid: int) -> float:
    try:
        # Behind the name, which may hold anything: fields 14 and 15 are user and system time.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * 1000 / _TICKS_PER_S
