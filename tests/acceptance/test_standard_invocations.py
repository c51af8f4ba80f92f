"""The usual commands work as they stand, with nothing but `REDIS_URL` set."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.polling import wait_until
from tests.support.redis_server import RedisServer
from tests.support.system import ROOT, clean_environment, free_port

BIN = Path(sys.executable).parent


@contextmanager
def running(
    command: Sequence[str], log: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=clean_environment(**environment, PERMAFROST_DATA=str(log.parent / "data")),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("server", ["flask", "gunicorn"])
def test_the_front_end_starts(redis_server: RedisServer, tmp_path: Path, server: str) -> None:
    port = free_port()
    command = {
        "flask": [str(BIN / "flask"), "--app", "api", "run", "--port", str(port)],
        "gunicorn": [str(BIN / "gunicorn"), "api:create_app()", "--bind", f"127.0.0.1:{port}"],
    }[server]

    def healthy() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    log = tmp_path / "log"
    with running(command, log, REDIS_URL=redis_server.url):
        wait_until(healthy, within_s=30, what=f"{server} answers")
        assert httpx.get(f"http://127.0.0.1:{port}/v1/models").json() == {"models": []}


@pytest.mark.parametrize("queues", [(), ("-Q", "interactive,bulk")])
def test_the_worker_starts(
    redis_server: RedisServer, tmp_path: Path, queues: tuple[str, ...]
) -> None:
    from worker.jobs.roster import Roster
    from worker.redis.connection import connect
    from worker.settings import Settings

    settings = Settings(redis_url=redis_server.url, data=tmp_path / "data")
    log = tmp_path / "log"
    command = [str(BIN / "celery"), "-A", "worker.app", "worker", *queues, "--concurrency", "1"]
    with connect(settings) as client, running(command, log, REDIS_URL=redis_server.url) as process:
        client.flushall()

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            rows = Roster(client, settings).read()
            return any(row.state == "ready" and "interactive" in row.queues for row in rows)

        wait_until(ready, within_s=90, what="the worker is ready")
