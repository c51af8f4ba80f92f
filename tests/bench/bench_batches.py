"""The numbers of batches, measured side by side with what the machine could do at best.

    PERMAFROST_FIXTURES=... python -m tests.bench.bench_batches [--images N] [--quick]

The photographs of the fixtures are linked under as many names as are asked for, and duplicates are
classified each time. The ceiling is measured before and after the batch, so that a machine that
becomes faster or slower meanwhile does not decide the ratio.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

import httpx
import psutil
import redis

from tests.bench.publishing import publish_tutorial
from tests.bench.table import Table
from tests.support.polling import wait_until
from tests.support.servers import Servers
from tests.support.system import ROOT, clean_environment
from tests.support.termination import stop_as_by_ctrl_c

CORES = len(os.sched_getaffinity(0))
LIMIT_MS = 150.0  # that a prediction may be slower beside a batch


@dataclass
class Bench:
    """The system under measurement and its photographs."""

    servers: Servers
    photographs: list[Path]
    table: Table

    def folder(self, count: int) -> Path:
        """Return a folder of `count` photographs under different names."""
        target = self.servers.folders / f"{count}"
        if not target.exists():
            for number in range(count):
                source = self.photographs[number % len(self.photographs)]
                place = target / f"{number // 1000:03}" / f"{number:07}{source.suffix}"
                place.parent.mkdir(parents=True, exist_ok=True)
                _link(source, place)
        return target

    def run(self, count: int, beside: Callable[[str], None] | None = None) -> dict[str, Any]:
        """Classify a folder as a batch and return the ended job; `beside` runs meanwhile."""
        url = self.servers.url
        folder = self.folder(count).name
        answer = httpx.post(f"{url}/v1/batches", json={"folder": folder, "top": 5})
        assert answer.status_code == 202, answer.text
        location = f"{url}{answer.headers['Location']}"
        if beside:
            beside(location)
        return _ended(location)

    def ceiling(self, count: int, sizes: list[int]) -> dict[int, float]:
        """Return the ceiling's images per second by size of micro-batch."""
        arguments = [str(self.servers.data), str(self.folder(count)), str(CORES), json.dumps(sizes)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.ceiling", *arguments],
            cwd=ROOT,
            env=clean_environment(TF_CPP_MIN_LOG_LEVEL="3"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return {int(size): rate for size, rate in json.loads(done.stdout).items()}

    def cpu(self) -> float:
        """Return the seconds of processor time that workers and Redis have used."""
        processes = self.servers.children(self.servers.worker)
        processes.append(psutil.Process(self.servers.redis.process.pid))
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    def memory(self) -> int:
        """Return the bytes that Redis uses."""
        with redis.Redis.from_url(self.servers.redis.url) as client:
            return int(client.info("memory")["used_memory"])


def throughput(bench: Bench, images: int) -> None:
    """Compare a batch with the ceiling, and weigh what is kept of each image."""
    sizes = bench.ceiling(min(images, 2000), [16, 32, 64])
    size = max(sizes, key=lambda one: sizes[one])
    best = ", ".join(f"{one}: {rate:.0f} /s" for one, rate in sizes.items())
    bench.table.add("ceiling by size of micro-batch", best)
    before = bench.ceiling(images, [size])[size]
    used = bench.memory()
    job = bench.run(images)
    used = bench.memory() - used
    after = bench.ceiling(images, [size])[size]
    assert job["progress"]["succeeded"] == images, job["progress"]
    rate, ceiling = images / _seconds(job), mean([before, after])
    bench.table.add(
        f"one process that only decodes and runs, batches of {size}",
        f"{before:.0f} and {after:.0f} /s",
    )
    bench.table.add(f"batch of {images:,} in a folder", f"{rate:.0f} /s")
    bench.table.add(
        "  of the ceiling", f"{rate / ceiling:.2f}", ">= 0.90", holds=rate / ceiling >= 0.90
    )
    each = used / images
    bench.table.add("Redis memory per finished image", f"{each:.0f} B", "< 600 B", holds=each < 600)


def scale(bench: Bench, small: int, large: int) -> None:
    """Compare a long batch with short ones, and read its progress meanwhile."""
    reads: list[float] = []

    def read(location: str) -> None:
        with httpx.Client() as client:
            while len(reads) < 200 and _timed(client, location, reads)["status"] != "succeeded":
                time.sleep(0.05)

    def measure(count: int, beside: Callable[[str], None] | None = None) -> tuple[float, float]:
        """Return the time and the processor time per image."""
        used = bench.cpu()
        seconds = _seconds(bench.run(count, beside))
        return seconds / count, (bench.cpu() - used) / count

    # Before and after, so that a machine that becomes faster or slower does not decide.
    shorts = [measure(small) for _ in range(3)]
    long, long_cpu = measure(large, read)
    shorts += [measure(small) for _ in range(3)]
    short, short_cpu = (median(column) for column in zip(*shorts, strict=True))
    for count, seconds, cpu in ((small, short, short_cpu), (large, long, long_cpu)):
        bench.table.add(
            f"time per image of {count:,} (processor time)",
            f"{seconds * 1000:.2f} ({cpu * 1000:.2f}) ms",
        )
    change = long / short - 1
    bench.table.add("  slower by", f"{change:+.0%}", "<= 10 %", holds=change <= 0.10)
    middle = median(reads) * 1000
    bench.table.add(f"progress read at {large:,} (busy)", f"{middle:.1f} ms", "")
    idle: list[float] = []
    with httpx.Client() as client:
        job = client.get(f"{bench.servers.url}/v1/jobs?kind=batch&limit=1").json()["jobs"][0]
        for _ in range(100):
            _timed(client, f"{bench.servers.url}{job['links']['self']}", idle)
    middle = median(idle) * 1000
    bench.table.add(
        f"progress read at {large:,} (idle)", f"{middle:.1f} ms", "< 10 ms", holds=middle < 10
    )


def interactive(bench: Bench, images: int, count: int) -> None:
    """Compare predictions beside a batch with those on an idle system."""
    photograph = bench.photographs[0].read_bytes()
    url = f"{bench.servers.url}/v1/predictions"
    headers = {"Prefer": "wait=30", "Content-Type": "image/jpeg"}

    def predict() -> list[float]:
        took = []
        with httpx.Client(timeout=60) as client:
            for _ in range(count):
                started = time.perf_counter()
                answer = client.post(url, content=photograph, headers=headers)
                took.append(time.perf_counter() - started)
                assert answer.json()["status"] == "succeeded", answer.text
        return took

    predict()
    idle = median(predict()) * 1000
    busy: list[float] = []
    status: list[str] = []

    def beside(location: str) -> None:
        wait_until(
            lambda: httpx.get(location).json()["progress"]["succeeded"],
            within_s=60,
            what="images are classified",
        )
        busy.extend(predict())
        status.append(httpx.get(location).json()["status"])

    bench.run(images, beside=beside)
    assert status == ["running"], "the batch ended before the predictions did: use more images"
    slower = median(busy) * 1000
    bench.table.add("prediction on an idle system, median", f"{idle:.0f} ms")
    bench.table.add("prediction beside a batch, median", f"{slower:.0f} ms")
    bench.table.add(
        "  slower by",
        f"{slower - idle:.0f} ms",
        f"<= {LIMIT_MS:.0f} ms",
        holds=slower - idle <= LIMIT_MS,
    )


def upload(bench: Bench, images: int) -> None:
    """Send images in one request and watch the API's memory."""
    assert bench.servers.api is not None
    processes = [
        psutil.Process(bench.servers.api.pid),
        *bench.servers.children(bench.servers.api),
    ]
    size = sum(path.stat().st_size for path in bench.photographs) * images
    size //= len(bench.photographs)

    def resident() -> int:
        return sum(process.memory_info().rss for process in processes)

    before, most, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            most[0] = max(most[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    answer = httpx.post(
        f"{bench.servers.url}/v1/batches",
        content=_multipart(bench.photographs, images),
        headers={"Content-Type": "multipart/form-data; boundary=bench"},
        timeout=600,
    )
    took = time.perf_counter() - started
    done.set()
    watcher.join()
    assert answer.status_code == 202, answer.text
    grown = (most[0] - before) / 2**20
    bench.table.add(
        f"{images:,} images ({size / 2**20:.0f} MiB) in one request", f"{images / took:.0f} /s"
    )
    bench.table.add("  API memory grew by", f"{grown:.1f} MiB", "< 50 MB", holds=grown < 47)
    job = _ended(f"{bench.servers.url}{answer.headers['Location']}")
    assert job["progress"]["succeeded"] == images, job["progress"]


def _multipart(photographs: list[Path], count: int) -> Iterator[bytes]:
    contents = [path.read_bytes() for path in photographs]
    for number in range(count):
        head = f'form-data; name="images"; filename="{number}.jpg"'
        yield f"--bench\r\nContent-Disposition: {head}\r\n\r\n".encode()
        yield contents[number % len(contents)]
        yield b"\r\n"
    yield b"--bench--\r\n"


def _timed(client: httpx.Client, location: str, reads: list[float]) -> dict[str, Any]:
    started = time.perf_counter()
    job: dict[str, Any] = client.get(location).json()
    reads.append(time.perf_counter() - started)
    return job


def _ended(location: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = httpx.get(location, params={"wait": 10}, timeout=60).json()
        return job if job["status"] in ("succeeded", "failed") else None

    job = wait_until(look, within_s=3600, what="the batch ends", every_s=0.2)
    assert job is not None
    return job


def _seconds(job: dict[str, Any]) -> float:
    """Return the seconds from acceptance to the last image."""
    created, finished = (
        datetime.fromisoformat(job[name]) for name in ("created_at", "finished_at")
    )
    return (finished - created).total_seconds()


def _link(source: Path, place: Path) -> None:
    try:
        place.hardlink_to(source)
    except OSError:  # another file system
        shutil.copyfile(source, place)


def main() -> int:
    """Measure and print; return 1 where something falls short."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else ""
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--long", type=int, default=50_000, help="images of the long batch")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--photographs", type=Path, help="folder of JPEG files to repeat")
    parser.add_argument("--only", nargs="*", help="throughput, scale, interactive, upload")
    arguments = parser.parse_args()
    stop_as_by_ctrl_c()
    fixtures = os.environ.get("PERMAFROST_FIXTURES")
    if not fixtures:
        parser.error("set PERMAFROST_FIXTURES to the folder of models and photographs")
    tutorial = Path(fixtures).resolve() / "tutorial-dogs-cats"
    chosen = arguments.photographs or tutorial / "images"
    part = 10 if arguments.quick else 1
    data = Path(tempfile.mkdtemp(prefix="permafrost-bench-"))
    table = Table()
    servers = Servers(data / "data", workers=CORES, PERMAFROST_DEDUPLICATE="false")
    try:
        publish_tutorial(tutorial, servers.data)
        servers.start()
        bench = Bench(servers, sorted(p for p in chosen.rglob("*") if p.is_file()), table)
        print(
            f"{CORES} cores, {len(bench.photographs)} photographs of {chosen.name}, "
            f"{CORES} worker processes"
        )
        steps: dict[str, Callable[[], None]] = {
            "throughput": lambda: throughput(bench, arguments.images // part),
            "scale": lambda: scale(bench, 1000, arguments.long // part),
            "interactive": lambda: interactive(bench, arguments.images // part, 200 // part),
            "upload": lambda: upload(bench, arguments.images // part),
        }
        for name, step in steps.items():
            if not arguments.only or name in arguments.only:
                step()
    finally:
        servers.remove()
        shutil.rmtree(data, ignore_errors=True)
    return 0 if table.holds else 1


if __name__ == "__main__":
    sys.exit(main())
