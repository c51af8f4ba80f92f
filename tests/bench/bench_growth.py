"""Whether a million ended jobs in Redis slow anything down: compared with an empty one, in turns.

    PERMAFROST_FIXTURES=... python -m tests.bench.bench_growth [--records N] [--quick]

Two whole systems run side by side, each with a Redis of its own. One is filled with copies of real
records. Both are then measured in turns, so that a machine that becomes faster or slower meanwhile
does not decide; the one that is not measured is idle.
"""

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
import redis

from deploy.local.redis_server import COMPACT
from tests.bench.clients import Clients
from tests.bench.publishing import publish_tutorial
from tests.bench.records import Template, fill
from tests.bench.table import Table
from tests.support.polling import wait_until
from tests.support.servers import DURABLE, Servers
from tests.support.submitting import ended, predict
from tests.support.termination import stop_as_by_ctrl_c
from worker.jobs.keys import key
from worker.jobs.store import JobStore
from worker.settings import Settings

CORES = len(os.sched_getaffinity(0))
FEW = 1000  # records with which listing and reading are compared
CLIENTS = 32
_READS = 60  # of each address, of each system
_PREDICTION_MS = 150  # the most that anybody may wait for one while old records are forgotten
_AT_ONCE = 1000  # jobs made due by one command
_PING_S = 0.002  # between two pings of a Redis that is watched


@dataclass
class Side:
    """One of the two systems."""

    servers: Servers
    clients: Clients
    store: redis.Redis
    ids: list[str] = field(default_factory=list)  # of its records, oldest first
    templates: list[Template] = field(default_factory=list)
    batch: str = ""  # the id of a batch that has ended

    def cpu(self) -> float:
        """Return the seconds of processor time that Redis, the API and the workers have used."""
        assert self.servers.api is not None
        processes = [
            psutil.Process(self.servers.redis.process.pid),
            *self.servers.children(self.servers.api),
            *self.servers.children(self.servers.worker),
        ]
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    def used(self) -> int:
        """Return the bytes that Redis uses."""
        return int(self.store.info("memory")["used_memory"])


@dataclass
class Growth:
    """Both systems and what was measured of them."""

    few: Side
    many: Side
    table: Table
    settings: Settings

    def prepare(self, photographs: list[bytes], records: int) -> None:
        """Have each system do one job of each sort, and copy these."""
        for side, count in ((self.few, FEW), (self.many, records)):
            url = side.servers.url
            broken = httpx.post(
                f"{url}/v1/predictions",
                content=photographs[0][:400],
                headers={"Content-Type": "image/jpeg", "Prefer": "wait=30"},
                timeout=60,
            ).json()
            files = [("images", (f"{n}.jpg", body)) for n, body in enumerate(photographs[:8])]
            batch = httpx.post(f"{url}/v1/batches", files=files, timeout=60)
            side.batch = ended(url, batch.headers["Location"])["id"]
            store = JobStore(side.store, self.settings)
            side.templates = [
                Template(job=store.get(predict(url, photographs[0])["id"]), per_mille=970),
                Template(job=store.get(broken["id"]), per_mille=20),
                Template(job=store.get(side.batch), per_mille=10),
            ]
            before, started = side.used(), time.perf_counter()
            side.ids = fill(side.store, side.templates, count, self.settings.result_ttl_s)
            took = time.perf_counter() - started
            if side is self.many:
                each = (side.used() - before) / count
                self.table.add(f"{count:,} records made in", f"{took:.0f} s")
                self.table.add(
                    "Redis memory per record", f"{each:.0f} B", "< 1000 B", holds=each < 1000
                )

    def reads(self) -> None:
        """Compare listing and reading."""
        few, many = self.few, self.many

        def listing(query: str) -> Callable[[Side], str]:
            return lambda _: f"/v1/jobs?limit={query}"

        def deep(query: str, depth: float) -> Callable[[Side], str]:
            return lambda side: (
                f"/v1/jobs?limit={query}&cursor={side.ids[round(len(side.ids) * (1 - depth))]}"
            )

        # Pages that both can fill, so that they have the same number of rows.
        addresses: dict[str, Callable[[Side], str]] = {
            "jobs": listing("50"),
            "jobs, kind=prediction": listing("50&kind=prediction"),
            "jobs, kind=batch": listing("5&kind=batch"),
            "jobs, status=succeeded": listing("50&status=succeeded"),
            "jobs, status=failed": listing("5&status=failed"),
            "jobs, status=running": listing("50&status=running"),
            "jobs, kind and status": listing("50&kind=prediction&status=succeeded"),
            "jobs, page in the middle": deep("50", 0.5),
            "jobs, last pages": deep("50", 0.9),
            "jobs, status=failed, page in the middle": deep("5&status=failed", 0.5),
            "jobs, kind=batch, page in the middle": deep("2&kind=batch", 0.5),
            "a prediction": lambda side: f"/v1/jobs/{side.ids[len(side.ids) // 2]}",
            "a batch's progress": lambda side: f"/v1/jobs/{side.batch}",
            "readyz": lambda _: "/readyz",
            "metrics": lambda _: "/metrics",
        }
        with httpx.Client(timeout=60) as client:
            for what, address in addresses.items():
                took: dict[int, list[float]] = {id(few): [], id(many): []}
                for _ in range(_READS):
                    for side in (few, many):
                        url = side.servers.url + address(side)
                        started = time.perf_counter()
                        answer = client.get(url)
                        took[id(side)].append(time.perf_counter() - started)
                        assert answer.status_code == 200, answer.text
                small, large = (median(took[id(side)]) for side in (few, many))
                self.table.add(
                    f"{what}: with {FEW:,} records, and with all",
                    f"{small * 1000:.2f}, {large * 1000:.2f} ms: {large / small:.2f}",
                    "<= 1.25 x",
                    holds=large / small <= 1.25,
                )

    def throughput(self, rounds: int, count: int) -> None:
        """Compare single uploads of many clients, each of them answered by its result."""
        empty(self.few)
        rates: list[tuple[float, float]] = []
        costs: list[tuple[float, float]] = []
        for number in range(rounds + 1):
            found = {}
            for side in (self.few, self.many) if number % 2 else (self.many, self.few):
                cpu, started = side.cpu(), time.perf_counter()
                side.clients.run(count, CLIENTS)
                seconds = time.perf_counter() - started
                found[id(side)] = (count / seconds, (side.cpu() - cpu) / count)
            if number:  # the first is for warming up
                small, large = found[id(self.few)], found[id(self.many)]
                rates.append((small[0], large[0]))
                costs.append((small[1], large[1]))
        for what, pairs in (("images/s", rates), ("ms of processor time per image", costs)):
            factor = 1 if pairs is rates else 1000
            small, large = (median(column) * factor for column in zip(*pairs, strict=True))
            self.table.add(f"{what}, empty and full", f"{small:.2f}, {large:.2f}")
        change = median(large / small for small, large in rates) - 1
        self.table.add("  faster or slower by", f"{change:+.1%}", ">= -5 %", holds=change >= -0.05)
        change = median(large / small for small, large in costs) - 1
        self.table.add("  processor time by", f"{change:+.1%}")

    def rewrite(self) -> None:
        """Have Redis write its append-only file anew while it is asked."""
        store = self.many.store
        with pings(self.many) as worst:
            started = time.perf_counter()
            store.bgrewriteaof()
            wait_until(
                lambda: not store.info("persistence")["aof_rewrite_in_progress"],
                within_s=300,
                what="the file is rewritten",
            )
            took = time.perf_counter() - started
        fork = store.info("stats")["latest_fork_usec"] / 1000
        self.table.add("append-only file rewritten in (fork)", f"{took:.1f} s ({fork:.0f} ms)")
        self.table.add("  longest wait for Redis meanwhile", f"{worst() * 1000:.0f} ms")

    def restart(self) -> None:
        """Kill Redis and start it again."""
        self.many.servers.redis.kill()
        started = time.perf_counter()
        self.many.servers.redis.start()
        took = time.perf_counter() - started
        self.table.add("killed Redis has its records again after", f"{took:.1f} s")
        wait_until(self.many.servers.ready, within_s=60, what="the workers are back")

    def expire(self) -> None:
        """Let the time of all records pass at once, and predict while they are forgotten."""
        side = self.many
        count = side.store.zcard(key("expiry"))
        side.clients.run(20, 1)  # Redis may have been started anew: its clients find it again
        alone = side.clients.run(1000, 1)  # for as long as what follows, about
        let_time_pass(side)
        side.store.config_set("slowlog-log-slower-than", 5000)
        side.store.config_set("latency-monitor-threshold", 20)
        side.store.slowlog_reset()
        with pings(side) as worst:
            started = time.perf_counter()
            took: list[float] = []
            while side.store.zcount(key("expiry"), 0, 0):
                took += side.clients.run(20, 1)
            seconds = time.perf_counter() - started
        rate = count / seconds
        self.table.add(
            f"{count:,} records forgotten in",
            f"{seconds:.0f} s: {rate:,.0f} /s",
            ">= 1000 /s",
            holds=rate >= 1000,
        )
        longest = max(took) * 1000
        self.table.add(
            "  longest wait for a prediction meanwhile",
            f"{longest:.0f} ms",
            f"<= {_PREDICTION_MS} ms",
            holds=longest <= _PREDICTION_MS,
        )
        slow = max((row["duration"] for row in side.store.slowlog_get(100)), default=0) / 1000
        self.table.add("  longest command meanwhile", f"{slow:.0f} ms" if slow else "below 5 ms")
        # What else Redis waited for: its disk, for one.
        events = ", ".join(f"{row[0].decode()} {row[3]}" for row in side.store.latency_latest())
        self.table.add("  longest wait for Redis meanwhile", f"{worst() * 1000:.0f} ms")
        self.table.add("  of which Redis itself knows, in ms", events or "nothing over 20")
        self.table.add(
            "  a prediction before and meanwhile, medians",
            f"{median(alone) * 1000:.1f}, {median(took) * 1000:.1f} ms",
        )
        self.table.add("  the longest before", f"{max(alone) * 1000:.0f} ms")


def let_time_pass(side: Side) -> None:
    """Make all that has ended due at once, by short commands: Redis must not stand still for it."""
    due = "bench:due"
    for first in range(0, side.store.zcard(key("expiry")), _AT_ONCE):
        ids = side.store.zrange(key("expiry"), first, first + _AT_ONCE - 1)
        side.store.zadd(due, dict.fromkeys(ids, 0))
    side.store.unlink(key("expiry"))  # to be freed by another thread, which RENAME would not do
    side.store.rename(due, key("expiry"))


def empty(side: Side) -> None:
    """Have the sweeper forget all that has ended."""
    let_time_pass(side)
    wait_until(
        lambda: not side.store.zcard(key("expiry")), within_s=60, what="everything is forgotten"
    )


class Worst:
    """The longest of the waits that were noted."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        return self._seconds

    def note(self, seconds: float) -> None:
        """Note one wait."""
        self._seconds = max(self._seconds, seconds)


@contextmanager
def pings(side: Side) -> Iterator[Worst]:
    """Ask Redis again and again; gives the longest that an answer took."""
    worst, stop = Worst(), threading.Event()

    def ask() -> None:
        with redis.Redis.from_url(side.servers.redis.url) as client:
            while not stop.wait(_PING_S):
                started = time.perf_counter()
                client.ping()
                worst.note(time.perf_counter() - started)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield worst
    finally:
        stop.set()
        thread.join()


def main() -> int:
    """Measure and print; return 1 where something falls short."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="100,000 records and fewer rounds")
    parser.add_argument("--photographs", type=Path, help="folder of JPEG files to repeat")
    parser.add_argument("--only", nargs="*", help="reads, throughput, rewrite, restart, expire")
    arguments = parser.parse_args()
    stop_as_by_ctrl_c()
    fixtures = os.environ.get("PERMAFROST_FIXTURES")
    if not fixtures:
        parser.error("set PERMAFROST_FIXTURES to the folder of models and photographs")
    tutorial = Path(fixtures).resolve() / "tutorial-dogs-cats"
    chosen = arguments.photographs or tutorial / "images"
    photographs = [path.read_bytes() for path in sorted(chosen.rglob("*.jpg"))]
    records = 100_000 if arguments.quick else arguments.records
    folder = Path(tempfile.mkdtemp(prefix="permafrost-bench-"))
    sides: list[Side] = []
    try:
        for name in ("few", "many"):
            options = [*DURABLE, *(word for k, v in COMPACT.items() for word in (f"--{k}", v))]
            servers = Servers(folder / name, workers=CORES, apis=2, redis_options=options)
            sides.append(Side(servers, Clients(servers.url, photographs), servers.store()))
            publish_tutorial(tutorial, servers.data)
            servers.start()
        print(f"{CORES} cores; load averages {', '.join(f'{a:.1f}' for a in os.getloadavg())}")
        growth = Growth(sides[0], sides[1], Table(), Settings(data=folder))
        growth.prepare(photographs, records)
        rounds, count = (5, 400) if arguments.quick else (9, 1000)
        steps: dict[str, Callable[[], Any]] = {
            "reads": growth.reads,
            "throughput": lambda: growth.throughput(rounds, count),
            "rewrite": growth.rewrite,
            "restart": growth.restart,
            "expire": growth.expire,
        }
        for name, step in steps.items():
            if not arguments.only or name in arguments.only:
                step()
    finally:
        for side in sides:
            side.store.close()
            side.servers.remove()
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if growth.table.holds else 1


if __name__ == "__main__":
    sys.exit(main())
