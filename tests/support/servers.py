"""The processes of the system without a manager: a test kills and starts them one by one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from tests.support.polling import wait_until
from tests.support.redis_server import RedisServer
from tests.support.system import ROOT, clean_environment, free_port

DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec")


class Servers:
    """Redis with its append-only file, one worker service and one API, on one data folder."""

    def __init__(
        self,
        data: Path,
        *,
        workers: int = 2,
        redis_options: Sequence[str] = DURABLE,
        **settings: str,
    ) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.redis = RedisServer(redis_options)
        self._workers = workers
        self._environment = clean_environment(
            **settings,
            REDIS_URL=self.redis.url,
            PERMAFROST_DATA=str(data),
            PERMAFROST_FOLDERS=str(self.folders),
        )
        self.folders.mkdir(parents=True, exist_ok=True)
        self.worker: subprocess.Popen[bytes] | None = None
        self.api: subprocess.Popen[bytes] | None = None

    @property
    def folders(self) -> Path:
        """The root of the folders that a batch may name."""
        return self.data / "folders"

    @property
    def models(self) -> Path:
        """Where the registry is."""
        return self.data / "models"

    def start(self) -> None:
        """Start the worker and the API and wait until both are ready."""
        self.start_worker()
        self.start_api()
        wait_until(self._ready, within_s=120, what="the system is ready")

    def start_worker(self) -> None:
        """Start the worker service."""
        self.worker = self._start(
            "worker",
            *("celery", "-A", "worker.app", "worker", "-Q", "interactive,bulk", "-n", "test@%h"),
            *("--concurrency", str(self._workers), "--disable-prefetch"),
            *("--without-mingle", "--without-gossip", "--loglevel", "INFO"),
        )

    def start_api(self) -> None:
        """Start the API with one process."""
        self.api = self._start(
            "api",
            *("gunicorn", "api:create_app()", "--bind", f"127.0.0.1:{self.port}"),
            *("--worker-class", "gthread", "--threads", "16", "--no-control-socket"),
        )
        wait_until(self._healthy, within_s=60, what="the API answers")

    def children(self, process: subprocess.Popen[bytes] | None) -> list[psutil.Process]:
        """Return the living children of one of the services."""
        assert process is not None
        with suppress(psutil.Error):
            return [
                child
                for child in psutil.Process(process.pid).children()
                if child.status() != "zombie"
            ]
        return []

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the workers' processes for a while, so that nothing submitted can be finished."""
        assert self.worker is not None
        processes = [psutil.Process(self.worker.pid), *self.children(self.worker)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def kill(self, process: subprocess.Popen[bytes] | None) -> None:
        """SIGKILL a service with its children."""
        assert process is not None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log(self, name: str, lines: int = 40) -> str:
        """Return the end of a service's log."""
        path = self.data / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def remove(self) -> None:
        """Kill everything."""
        for process in (self.worker, self.api):
            if process is not None:
                self.kill(process)
        self.redis.remove()

    def _start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.data / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _healthy(self) -> bool:
        assert self.api is not None
        assert self.api.poll() is None, self.log("api")
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz").status_code == 200
        return False

    def _ready(self) -> bool:
        assert self.worker is not None
        assert self.worker.poll() is None, self.log("worker")
        rows = httpx.get(f"{self.url}/v1/workers").json()["workers"]
        return len([row for row in rows if row["state"] == "ready"]) >= self._workers
