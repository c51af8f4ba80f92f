"""What processes cost: memory that is counted once, processor time, and how often they wake up."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

_MEMORY = re.compile(r"^(Rss|Pss|Private_Clean|Private_Dirty):\s+(\d+) kB", re.MULTILINE)
_SWITCHES = re.compile(r"^(?:non)?voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The memory of one process in bytes, as /proc/PID/smaps_rollup has it."""

    rss: int  # resident: pages that others have too are counted whole
    pss: int  # each page divided by the number of processes that have it
    uss: int  # pages that nobody else has: what its end would free


def memory(pid: int) -> Memory:
    """Return what a process takes."""
    found = _MEMORY.findall(Path(f"/proc/{pid}/smaps_rollup").read_text())
    kib = {name: int(value) for name, value in found}
    return Memory(
        rss=kib["Rss"] * 1024,
        pss=kib["Pss"] * 1024,
        uss=(kib["Private_Clean"] + kib["Private_Dirty"]) * 1024,
    )


def together(processes: Iterable[psutil.Process]) -> Memory:
    """Return what processes take together; only the sum of `pss` counts no page twice."""
    found = [memory(process.pid) for process in processes]
    return Memory(
        rss=sum(one.rss for one in found),
        pss=sum(one.pss for one in found),
        uss=sum(one.uss for one in found),
    )


def cpu_seconds(process: psutil.Process) -> float:
    """Return the processor time that a process has used, to the hundredth of a second."""
    return float(sum(process.cpu_times()[:2]))


def wakeups(pid: int) -> int:
    """Return how often the threads of a process have been put on a processor."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(count) for text in texts for count in _SWITCHES.findall(text))


def role_of(process: psutil.Process) -> str:
    """Return what a process of the local system is."""
    words = process.cmdline()
    command = " ".join(words)
    parent = process.parent()
    child = parent is not None and parent.cmdline() == words
    if "redis-server" in command:
        return "redis"
    if "gunicorn" in command:
        return "api" if child else "api's parent"
    if "celery" in command:
        what = "freezing" if "freezing.tasks" in words else "inference"
        return what if child else f"{what}'s parent"
    return "supervisord" if "supervisor.supervisord" in command else "up"
