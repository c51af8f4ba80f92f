"""The deliverer of webhooks as a process of its own, and stored times that are moved."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import redis

from tests.support.polling import wait_until
from tests.support.system import ROOT, clean_environment
from worker.jobs.keys import key
from worker.settings import Settings


class DelivererProcess:
    """`python -m worker.webhooks`, killed and started again as a test likes."""

    def __init__(
        self, client: redis.Redis, settings: Settings, folder: Path, **environment: str
    ) -> None:
        self._client = client
        self._log = folder / "webhooks.log"
        self._environment = clean_environment(
            REDIS_URL=settings.redis_url, PERMAFROST_DATA=str(settings.data), **environment
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it reports."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker.webhooks"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self.row, within_s=30, what="the deliverer reports")

    def row(self) -> dict[str, Any] | None:
        """Return what it says of itself."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        for worker in self._client.zrange(key("workers"), 0, -1):
            report = json.loads(self._client.get(key("worker", worker.decode())) or b"{}")
            if report.get("pid") == self.process.pid:
                return dict(report)
        return None

    def kill(self) -> None:
        """SIGKILL it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """Stop it as a manager does and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def memory_bytes(self) -> int:
        """Return its resident memory."""
        assert self.process is not None
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def log(self) -> str:
        """Return what it wrote."""
        return self._log.read_text(errors="replace")


def make_due(client: redis.Redis) -> None:
    """Make every webhook that waits, or is held under a lease, due now."""
    for host in client.zrange(key("receivers"), 0, -1):
        for delivery in client.zrange(key("webhooks", host.decode()), 0, -1):
            client.zadd(key("webhooks", host.decode()), {delivery: 1})
        client.zadd(key("receivers"), {host: 1})
    client.rpush(key("due"), 1)


def environment_of(authority_file: Path) -> dict[str, str]:
    """Return what makes a deliverer trust a test's receiver."""
    return {"SSL_CERT_FILE": os.fspath(authority_file)}
