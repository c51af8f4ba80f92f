"""The API behind gunicorn, on a real Redis and without workers."""

import http.client
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil

from tests.support.api import GRAPH, publish
from tests.support.polling import wait_until
from tests.support.redis_server import RedisServer
from tests.support.system import ROOT, clean_environment, free_port
from worker.settings import Settings

HOST = "127.0.0.1"


class Api:
    """Two API processes on two ports, on one store and one data folder."""

    def __init__(
        self, data: Path, *, graph: bytes = GRAPH, options: Sequence[str] = (), **settings: str
    ) -> None:
        publish(Settings(data=data), graph=graph)
        self.redis = RedisServer()
        self._options = tuple(options)  # of gunicorn
        self._environment = clean_environment(
            REDIS_URL=self.redis.url, PERMAFROST_DATA=str(data), **settings
        )
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.ports = [free_port(), free_port()]
        for port in self.ports:
            self.start(port)

    def start(self, port: int) -> None:
        self._processes[port] = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "api:create_app()", "--bind", f"{HOST}:{port}"),
                *("--worker-class", "api.server.worker.DoorWorker", "--threads", "2"),
                *("--no-control-socket", "--graceful-timeout", "2"),
                *self._options,
            ],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        below = self._environment.get("SCRIPT_NAME", "")

        def answers() -> bool:
            try:
                return httpx.get(f"http://{HOST}:{port}{below}/healthz").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, within_s=60, what="the API answers")

    def worker(self) -> psutil.Process:
        """Return the process that serves the first port."""
        (worker,) = psutil.Process(self._processes[self.ports[0]].pid).children()
        return worker

    def stop(self, port: int) -> int:
        process = self._processes.pop(port)
        process.terminate()
        return process.wait(timeout=20)

    def remove(self) -> None:
        for port in list(self._processes):
            process = self._processes.pop(port)
            process.kill()
            process.wait()
        self.redis.process.send_signal(signal.SIGCONT)
        self.redis.remove()


def connect(api: Api) -> socket.socket:
    return socket.create_connection((HOST, api.ports[0]), timeout=20)


def answer(connection: socket.socket) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.read()
    return response
