"""What the processes of an idle system cost, and each further inference process.

    PERMAFROST_FIXTURES=... python -m tests.bench.bench_memory [--quick]

Memory is the proportional set size (PSS): a page that three processes share is a third of a page
for each, so that sums count nothing twice. Resident sizes are shown beside it.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import psutil

from tests.bench.clients import Clients
from tests.bench.processes import Memory, cpu_seconds, memory, role_of, together, wakeups
from tests.bench.publishing import publish_tutorial
from tests.bench.table import Table
from tests.support.polling import wait_until
from tests.support.servers import Servers
from tests.support.system import ROOT, System
from tests.support.termination import stop_as_by_ctrl_c

MB = 1_000_000
FURTHER_MB, API_MB, IDLE_MB = 400, 120, 1600
_SETTLED_S = 10.0  # a system is idle once it has been left alone for so long


def further(
    table: Table, tutorial: Path, folder: Path, photographs: list[bytes], most: int, images: int
) -> None:
    """Compare worker services of 1, 2, ... processes that have all been at work."""
    sums: list[Memory] = []
    for count in range(1, most + 1):
        servers = Servers(folder / f"{count}", workers=count)
        try:
            publish_tutorial(tutorial, servers.data)
            servers.start()
            Clients(servers.url, photographs).run(images * count, 32)
            assert servers.worker is not None
            children = servers.children(servers.worker)
            assert len(children) == count
            sums.append(together([psutil.Process(servers.worker.pid), *children]))
        finally:
            servers.remove()
    table.add("one inference process and its parent", _shown(sums[0]))
    for number, (fewer, more) in enumerate(pairwise(sums), start=2):
        cost = (more.pss - fewer.pss) / MB
        table.add(
            f"inference process number {number} adds (PSS)",
            f"{cost:.0f} MB",
            f"<= {FURTHER_MB} MB",
            holds=cost <= FURTHER_MB,
        )


def idle(table: Table, folder: Path, seconds: float, photographs: list[bytes]) -> None:
    """Start everything that `up` starts, and weigh it before and after it has been at work."""
    system = System(folder / "up", program=[str(ROOT / "permafrost")])
    system.start()
    try:
        _settle(system)
        weigh(table, system, "idle, nothing done yet")
        burn(table, system, seconds)
        Clients(f"{system.url}", photographs).run(1000, 32)
        _settle(system)
        weigh(table, system, "idle again after 1,000 predictions")
    finally:
        system.stop()


def weigh(table: Table, system: System, when: str) -> None:
    """Show the memory of all processes, by what they are."""
    processes = system.processes()
    sums: dict[str, list[Memory]] = defaultdict(list)
    for process in processes:
        sums[role_of(process)].append(memory(process.pid))
    table.add(when, "PSS / USS / RSS")
    for role, found in sorted(sums.items()):
        for one in found:
            most = API_MB if role == "api" else None
            table.add(
                f"  {role}",
                _shown(one),
                f"< {most} MB" if most else "",
                holds=one.pss < most * MB if most else None,
            )
    whole = together(processes)
    table.add(
        "  in all",
        _shown(whole),
        f"< {IDLE_MB} MB",
        holds=whole.pss < IDLE_MB * MB,
    )


def burn(table: Table, system: System, seconds: float) -> None:
    """Show what an idle system uses of the processors."""
    processes = system.processes()
    before = {process.pid: (cpu_seconds(process), wakeups(process.pid)) for process in processes}
    began = time.monotonic()
    wait_until(
        lambda: time.monotonic() - began >= seconds,
        within_s=seconds + 10,
        what="the time is up",
        every_s=0.5,
    )
    took = time.monotonic() - began
    sums: dict[str, tuple[float, float]] = {}
    for process in processes:
        used, woken = sums.get(role_of(process), (0.0, 0.0))
        first = before[process.pid]
        sums[role_of(process)] = (
            used + (cpu_seconds(process) - first[0]) / took,
            woken + (wakeups(process.pid) - first[1]) / took,
        )
    table.add(f"idle for {took:.0f} s", "time, wake-ups per s")
    for role, (used, woken) in sorted(sums.items()):
        table.add(f"  {role}", f"{used * 1000:.1f} ms, {woken:.0f}")
    whole = sum(used for used, _ in sums.values())
    table.add("  in all, of one processor", f"{whole:.1%}", "< 3 %", holds=whole < 0.03)


def _settle(system: System) -> None:
    """Wait until nothing has been done for a while."""
    busy = {"at": time.monotonic(), "cpu": 0.0}

    def rested() -> bool:
        used = sum(cpu_seconds(process) for process in system.processes())
        if used - busy["cpu"] > 0.5:  # far more than keepers and sweepers use
            busy.update(at=time.monotonic(), cpu=used)
        return time.monotonic() - busy["at"] > _SETTLED_S

    wait_until(rested, within_s=120, what="the system rests", every_s=0.5)


def _shown(one: Memory) -> str:
    return f"{one.pss / MB:.0f} / {one.uss / MB:.0f} / {one.rss / MB:.0f} MB"


def main() -> int:
    """Measure and print; return 1 where something falls short."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="two inference processes, shorter")
    parser.add_argument("--photographs", type=Path, help="folder of JPEG files to repeat")
    arguments = parser.parse_args()
    stop_as_by_ctrl_c()
    fixtures = os.environ.get("PERMAFROST_FIXTURES")
    if not fixtures:
        parser.error("set PERMAFROST_FIXTURES to the folder of models and photographs")
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("only Linux tells how much of a process's memory is shared")
    tutorial = Path(fixtures).resolve() / "tutorial-dogs-cats"
    chosen = arguments.photographs or tutorial / "images"
    photographs = [path.read_bytes() for path in sorted(chosen.rglob("*.jpg"))]
    folder = Path(tempfile.mkdtemp(prefix="permafrost-bench-"))
    table = Table()
    try:
        idle(table, folder, 10 if arguments.quick else 60, photographs)
        further(
            table,
            tutorial,
            folder,
            photographs,
            most=2 if arguments.quick else 4,
            images=300 if arguments.quick else 1000,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if table.holds else 1


if __name__ == "__main__":
    sys.exit(main())
