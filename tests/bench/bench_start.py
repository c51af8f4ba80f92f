"""How long the system takes to start, and a new version to be served by every worker process.

    python -m tests.bench.bench_start [--quick] [--cold]

The first `up` makes the data folder and freezes the demo model. What is measured are those after
it, from the start of the launcher to the answer of a prediction. Needs no fixtures.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from deploy.local import demo
from tests.bench.table import Table
from tests.support.pictures import jpeg
from tests.support.polling import wait_until
from tests.support.submitting import freeze_upload
from tests.support.system import ROOT, System, clean_environment
from tests.support.termination import stop_as_by_ctrl_c

START_S = 12.0
SERVED_S = 2.0
_EVERY_S = 0.02  # between two looks
LARGE = "large"


def publish(system: System, table: Table, rounds: int) -> None:
    """Freeze the demo model again, and move `stable` between its versions."""
    took = []
    files = [demo.FOLDER / name for name in demo.FILES]
    for _ in range(max(1, rounds // 3)):
        job = freeze_upload(system.url, files, **demo.OPTIONS)
        assert job["status"] == "succeeded", job
        version = job["result"]["version"]
        served_by_all(system, demo.NAME, version)
        took.append(time.time() - datetime.fromisoformat(job["finished_at"]).timestamp())
    _add(table, "a freeze's end to its version in every worker process", took)
    took = []
    for number in range(rounds):
        version = number % 2 + 1
        began = move(system, demo.NAME, version)
        served_by_all(system, demo.NAME, version)
        took.append(time.perf_counter() - began)
    _add(table, "`stable` moved to a version that was loaded before", took)


def publish_large(system: System, table: Table) -> None:
    """Publish a network as large as AlexNet, and a second version of it."""
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-m", "tests.bench.large_model", str(system.data), LARGE],
            cwd=ROOT,
            env=clean_environment(TF_CPP_MIN_LOG_LEVEL="3"),
            stderr=subprocess.DEVNULL,
            check=True,
        )
    took, answered = [], []
    for version in (1, 2):
        # Publishing in another process told nobody: the workers hear of it now.
        began = move(system, LARGE, version)
        answer = prediction(system.url, model=LARGE, patience_s=60)
        answered.append(time.perf_counter() - began)
        assert answer is not None
        assert answer["model"]["version"] == version, answer
        served_by_all(system, LARGE, version)
        took.append(time.perf_counter() - began)
    # Each process reads, checks, copies and warms a quarter of a gigabyte.
    _add(table, "a version of 62 million parameters in every worker process", took)
    _add(table, "  a prediction sent as its alias was moved, answered after", answered)


def move(system: System, name: str, version: int) -> float:
    """Move `stable` and return when that was answered."""
    url = f"{system.url}/v1/models/{name}/aliases/stable"
    answer = httpx.put(url, json={"version": version}, timeout=30)
    assert answer.status_code == 200, answer.text
    return time.perf_counter()


def served_by_all(system: System, name: str, version: int) -> None:
    """Wait until every inference process says that it has the version, and has answered with it."""

    def held() -> bool:
        rows = httpx.get(f"{system.url}/v1/workers", timeout=10).json()["workers"]
        inference = [row for row in rows if "interactive" in row["queues"]]
        return bool(inference) and all(
            any(
                (graph["model"], graph["version"], graph["state"]) == (name, version, "ready")
                for graph in row["graphs"]
            )
            for row in inference
        )

    wait_until(held, within_s=60, what="every process has it", every_s=_EVERY_S)
    answer = prediction(system.url, model=name, patience_s=30)
    assert answer is not None
    assert answer["model"]["version"] == version, answer


def prediction(url: str, *, model: str = demo.NAME, patience_s: float) -> dict[str, Any] | None:
    """Return the ended job of a prediction, or None where the system does not take one yet."""
    try:
        answer = httpx.post(
            f"{url}/v1/predictions",
            params={"model": model},
            content=jpeg(128, side=128),
            headers={"Content-Type": "image/jpeg", "Prefer": "wait=60"},
            timeout=90,
        )
    except httpx.TransportError:
        if patience_s:
            raise
        return None
    if answer.status_code != 200:
        assert answer.status_code >= 500, answer.text
        return None
    job: dict[str, Any] = answer.json()
    assert job["status"] == "succeeded", job
    return job


def _add(table: Table, what: str, took: list[float]) -> None:
    table.add(what, _seconds(took), f"< {SERVED_S:g} s", holds=max(took) < SERVED_S)


def _seconds(took: list[float]) -> str:
    if len(took) < 3:
        return ", ".join(f"{one:.2f}" for one in took) + " s"
    return f"{median(took):.2f}, worst {max(took):.2f} s"


def evict(folder: Path) -> None:
    """Have the files of a folder read from disk again, as after the machine was started."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start(system: System, table: Table, rounds: int, *, cold: bool) -> None:
    """Start the system again and again, and stop it."""
    took, ready, stopped = [], [], []
    for _ in range(rounds):
        if cold:
            evict(ROOT / ".venv")
            evict(system.data)
        began = time.perf_counter()
        system.launch()
        wait_until(
            lambda: prediction(system.url, patience_s=0.0),
            within_s=120,
            what="a prediction is answered",
            every_s=_EVERY_S,
        )
        took.append(time.perf_counter() - began)
        system.await_ready()
        ready.append(time.perf_counter() - began)
        began = time.perf_counter()
        system.stop()
        stopped.append(time.perf_counter() - began)
    what = "second `up` to the first answer" + (", nothing in the page cache" if cold else "")
    table.add(
        f"{what}, median and worst of {rounds}",
        f"{median(took):.1f}, {max(took):.1f} s",
        "" if cold else f"< {START_S:g} s",
        holds=None if cold else max(took) < START_S,
    )
    table.add("  to its ready line, median", f"{median(ready):.1f} s")
    table.add("  from Ctrl-C to the end, median", f"{median(stopped):.1f} s")


def main() -> int:
    """Measure and print; return 1 where something falls short."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument(
        "--cold", action="store_true", help="also start with nothing in the page cache"
    )
    arguments = parser.parse_args()
    stop_as_by_ctrl_c()
    rounds = 3 if arguments.quick else 7
    folder = Path(tempfile.mkdtemp(prefix="permafrost-bench-"))
    table = Table()
    system = System(folder / "data", program=[str(ROOT / "permafrost")])
    print(f"load averages {', '.join(f'{a:.1f}' for a in os.getloadavg())}")
    try:
        began = time.perf_counter()
        system.start()
        table.add("first `up`, with the demo model frozen", f"{time.perf_counter() - began:.1f} s")
        system.stop()
        start(system, table, rounds, cold=False)
        if arguments.cold:
            start(system, table, 1, cold=True)
        system.start()
        publish(system, table, rounds)
        publish_large(system, table)
    finally:
        system.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if table.holds else 1


if __name__ == "__main__":
    sys.exit(main())
