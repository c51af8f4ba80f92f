"""The processes of the system without a manager: a test kills and starts them one by one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis

from tests.support.polling import wait_until
from tests.support.redis_server import RedisServer
from tests.support.system import ROOT, clean_environment, free_port

DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec")

Service = subprocess.Popen[bytes]


class Servers:
    """Redis with its append-only file, one or more worker services and one API, on one data folder.

    `services` are the names of the worker services that `start` starts, each of `workers`
    processes; `apis` is the number of the API's processes. `inject` names modules of
    `tests.support.injected` that are imported into every service: faults, and what observes them.
    What is started from now on is of the program in the folder `program`.
    """

    def __init__(
        self,
        data: Path,
        *,
        workers: int = 2,
        services: Sequence[str] = ("worker",),
        apis: int = 1,
        inject: Sequence[str] = (),
        redis_options: Sequence[str] = DURABLE,
        **settings: str,
    ) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.redis = RedisServer(redis_options)
        self._names = tuple(services)
        self._workers = workers
        self._apis = apis
        self._inject = tuple(inject)
        self._environment = clean_environment(
            **settings,
            REDIS_URL=self.redis.url,
            PERMAFROST_DATA=str(data),
            PERMAFROST_FOLDERS=str(self.folders),
        )
        self.folders.mkdir(parents=True, exist_ok=True)
        self.services: dict[str, Service] = {}  # worker services by name
        self._counts: dict[str, int] = {}  # of their processes
        self.api: Service | None = None
        self.program = ROOT

    @property
    def folders(self) -> Path:
        """The root of the folders that a batch may name."""
        return self.data / "folders"

    @property
    def models(self) -> Path:
        """Where the registry is."""
        return self.data / "models"

    @property
    def worker(self) -> Service | None:
        """The first worker service."""
        return self.services.get(self._names[0])

    def start(self) -> None:
        """Start the workers and the API, all at once, and wait until everything is ready."""
        for name in self._names:
            self.start_worker(name)
        self.start_api()
        wait_until(self.ready, within_s=120, what="the system is ready")

    def start_worker(
        self,
        name: str | None = None,
        *,
        processes: int | None = None,
        inject: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Service:
        """Start a worker service, by default the first one; return without waiting for it.

        `inject` and `environment` are for this one alone.
        """
        name = name or self._names[0]
        modules = [*self._inject, *inject]
        self._counts[name] = processes or self._workers
        self.services[name] = self._start(
            name,
            *("celery", "-A", "worker.app", "worker", "-Q", "interactive,bulk", "-n", f"{name}@%h"),
            *("--concurrency", str(self._counts[name]), "--disable-prefetch"),
            *("--without-mingle", "--without-gossip", "--loglevel", "INFO"),
            *(("-I", "tests.support.injected") if modules else ()),
            PERMAFROST_TEST_INJECT=",".join(modules),
            **(environment or {}),
        )
        return self.services[name]

    def start_freezing(
        self, *, inject: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Service:
        """Start the service that freezes, of one process; return without waiting for it."""
        modules = [*self._inject, *inject]
        self._counts["freezing"] = 1
        self.services["freezing"] = self._start(
            "freezing",
            *("celery", "-A", "worker.app", "worker", "-Q", "freezing", "-n", "freezing@%h"),
            *("-I", ",".join(["freezing.tasks", *(["tests.support.injected"] if modules else [])])),
            *("--concurrency", "1", "--disable-prefetch"),
            *("--without-mingle", "--without-gossip", "--loglevel", "INFO"),
            PERMAFROST_TEST_INJECT=",".join(modules),
            **(environment or {}),
        )
        return self.services["freezing"]

    def start_api(
        self, *, inject: Sequence[str] = (), wait: bool = True, patient: bool = True
    ) -> Service:
        """Start the API and wait until it answers; `inject` is for it alone.

        `patient`: with the class of gunicorn's workers that is made for it.
        """
        modules = [*self._inject, *inject]
        self.api = self._start(
            "api",
            *("gunicorn", "api:create_app()", "--bind", f"127.0.0.1:{self.port}"),
            *("--workers", str(self._apis), "--threads", "16"),
            *(("--worker-class", "api.server.worker.DoorWorker") if patient else ()),
            *("--graceful-timeout", "5", "--no-control-socket"),
            *(("-c", "python:tests.support.injected") if modules else ()),
            PERMAFROST_TEST_INJECT=",".join(modules),
        )
        if wait:
            wait_until(self._healthy, within_s=60, what="the API answers")
        return self.api

    def children(self, process: Service | None) -> list[psutil.Process]:
        """Return the living children of one of the services."""
        assert process is not None
        with suppress(psutil.Error):
            return [
                child
                for child in psutil.Process(process.pid).children()
                if child.status() != "zombie"
            ]
        return []

    def processes(self) -> list[psutil.Process]:
        """Return the living processes of all worker services: main processes and children."""
        found = []
        for service in self.services.values():
            with suppress(psutil.Error):
                main = psutil.Process(service.pid)
                if main.status() != "zombie":
                    found += [main, *self.children(service)]
        return found

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the workers' processes for a while, so that nothing submitted can be finished."""
        processes = self.processes()
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def kill(self, process: Service | None) -> None:
        """SIGKILL a service with its children."""
        assert process is not None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_all(self) -> None:
        """SIGKILL everything that runs, Redis too."""
        running = [*self.services.values(), *([self.api] if self.api else [])]
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.redis.kill()
        for process in running:
            process.wait()

    def log(self, name: str, lines: int = 40) -> str:
        """Return the end of a service's log."""
        path = self.data / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def store(self) -> redis.Redis:
        """Return a connection to Redis, for what cannot be seen from outside."""
        return redis.Redis.from_url(self.redis.url)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `/v1/workers`."""
        answer = httpx.get(f"{self.url}/v1/workers", timeout=10)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["workers"]
        return rows

    def ready(self) -> bool:
        """Whether every worker service runs and each of its processes says that it takes work."""
        ready = {row["pid"] for row in self.rows() if row["state"] == "ready"}
        for name, service in self.services.items():
            assert service.poll() is None, self.log(name)
            pids = {child.pid for child in self.children(service)}
            if len(pids & ready) < self._counts[name]:
                return False
        return True

    def remove(self) -> None:
        """Kill everything."""
        self.kill_all()
        self.redis.remove()

    def _start(self, name: str, *command: str, **environment: str) -> Service:
        with (self.data / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.program,
                env={**self._environment, "PYTHONPATH": str(self.program), **environment},
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
