"""`permafrost up` as a person meets it: it starts, survives, refuses and stops."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.local.layout import Layout
from tests.support.polling import wait_until
from tests.support.system import ROOT, System, clean_environment, free_port

# What supervisor's configuration, the shell and Redis's configuration could stumble over; and too
# long for a socket.
ODD_NAME = f"my data; #1 %(here)s {'long' * 20}"
SERVICES = {
    "redis": "redis-server",
    "worker": "inference@%h",
    "freezing": "freezing@%h",
    "api": "gunicorn",
}
START_S = 180  # generous: the machine may do other things meanwhile


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Run one system for the tests that leave it running."""
    folder = tmp_path_factory.mktemp("local")
    system = System(folder / ODD_NAME, options=["--no-demo", "--workers", "1"])
    system.start(within_s=START_S)
    yield system
    system.stop()


def main_process(system: System, service: str) -> psutil.Process | None:
    """Return the process of a service that supervisor started, if it runs."""
    for process in system.processes():
        try:
            words = process.cmdline()
            parent = process.parent()
            if (
                any(SERVICES[service] in word for word in words)
                and not any("die_with_parent" in word for word in words)
                and parent
                and any("supervisord" in word for word in parent.cmdline())
            ):
                return process
        except psutil.Error:
            continue
    return None


def is_ready(system: System) -> bool:
    try:
        return httpx.get(f"{system.url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def refused(*arguments: str, **environment: str) -> str:
    """Return what an `up` that does not start says."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy", "up", *arguments],
        cwd=ROOT,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("permafrost: ")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_one_line_says_that_it_is_ready(local: System) -> None:
    lines = local.output.read_text().splitlines()
    assert lines.count(f"Permafrost is ready at {local.url}") == 1
    assert is_ready(local)


def test_redis_listens_on_nothing_but_a_private_socket(local: System) -> None:
    redis = main_process(local, "redis")
    assert redis
    assert [c for c in redis.net_connections("inet") if c.status == psutil.CONN_LISTEN] == []
    assert Layout(local.data).redis_socket.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_dies_is_started_again(local: System, service: str) -> None:
    before = main_process(local, service)
    assert before
    before.kill()

    def another() -> bool:
        now = main_process(local, service)
        return now is not None and now.pid != before.pid

    wait_until(another, within_s=60, what=f"another {service}", every_s=0.2)
    if service in ("worker", "freezing"):
        queue = "interactive" if service == "worker" else "freezing"
        wait_until(lambda: takes_work(local, queue), within_s=START_S, what=f"{service} is ready")
    wait_until(lambda: is_ready(local), within_s=60, what="the system is ready again")


def takes_work(system: System, queue: str) -> bool:
    """Tell whether a process that lives says that it takes work from a queue."""
    try:
        rows = httpx.get(f"{system.url}/v1/workers", timeout=5).json()["workers"]
    except httpx.TransportError:
        return False
    living = {process.pid for process in system.processes()}
    return any(
        row["state"] == "ready" and queue in row["queues"] and row["pid"] in living for row in rows
    )


@pytest.mark.parametrize(
    ("queue", "code"), [("interactive", 0), ("freezing", 0), ("no-such-queue", 1)]
)
def test_the_containers_health_check_knows_the_workers(
    local: System, queue: str, code: int
) -> None:
    socket = Layout(local.data).redis_socket
    done = subprocess.run(
        [sys.executable, "-m", "deploy.docker.healthcheck", queue],
        cwd=ROOT,
        env=clean_environment(PERMAFROST_DATA=str(local.data)),
        check=False,
        timeout=60,
    )
    assert socket.exists()
    assert done.returncode == code


def test_a_second_up_on_the_same_folder_is_refused(local: System) -> None:
    said = refused("--data", str(local.data), "--port", str(free_port()))
    assert f"in use by another `permafrost up` (process {local.process.pid})" in said


def test_a_second_up_on_the_same_port_is_refused(local: System, tmp_path: Path) -> None:
    said = refused("--data", str(tmp_path / "data"), "--port", str(local.port))
    assert f"Port {local.port} is taken by" in said
    assert "--port" in said


def test_a_redis_that_is_not_there_is_refused(tmp_path: Path) -> None:
    said = refused(
        *("--data", str(tmp_path / "data"), "--port", str(free_port())),
        REDIS_URL="redis://127.0.0.1:1/0",
    )
    assert "does not answer" in said


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Return a system for the tests that end it; each starts it where it does not run."""
    system = System(
        tmp_path_factory.mktemp("mortal") / "data", options=["--no-demo", "--workers", "1"]
    )
    yield system
    if system.processes():
        system.kill_all()


def started(system: System) -> System:
    """Return the system, running."""
    if not system.processes():
        system.start(within_s=START_S)
    return system


@pytest.mark.timeout(2 * START_S)
def test_nothing_outlives_an_up_that_is_killed(mortal: System) -> None:
    system = started(mortal)
    system.process.kill()
    system.process.wait()
    wait_until(lambda: not system.processes(), within_s=60, what="all ends with `up`")


@pytest.mark.timeout(3 * START_S)
def test_it_starts_again_after_everything_was_killed(mortal: System) -> None:
    started(mortal).kill_all()
    started(mortal)


@pytest.mark.timeout(3 * START_S)
def test_the_process_manager_is_replaced_when_it_dies(mortal: System) -> None:
    system = started(mortal)
    manager = next(p for p in system.processes() if "supervisord" in " ".join(p.cmdline()))
    services = {p.pid for p in system.processes()} - {system.process.pid}
    manager.kill()
    wait_until(
        lambda: "everything is started again" in system.output.read_text(),
        within_s=60,
        what="`up` notices that the process manager is gone",
    )
    wait_until(lambda: takes_work(system, "interactive"), within_s=START_S, what="it is back")
    assert services.isdisjoint(p.pid for p in system.processes())


@pytest.mark.timeout(2 * START_S)
def test_sigterm_stops_everything_in_order(mortal: System) -> None:
    system = started(mortal)
    system.process.send_signal(signal.SIGTERM)
    assert system.process.wait(timeout=60) == 0
    assert system.processes() == []
    said = [line for line in system.output.read_text().splitlines() if line.startswith("Stop")]
    assert said == [
        "Stopping the API",
        "Stopping the inference worker, the freezing worker and the deliverer of webhooks",
        "Stopping Redis",
        "Stopping the process manager",
        "Stopped.",
    ]


@pytest.mark.timeout(2 * START_S)
def test_a_second_ctrl_c_stops_at_once(mortal: System) -> None:
    system = started(mortal)
    system.process.send_signal(signal.SIGINT)
    wait_until(lambda: "Stopping" in system.output.read_text(), within_s=20, what="it is stopping")
    system.process.send_signal(signal.SIGINT)
    assert system.process.wait(timeout=20) in (0, 130)  # 0 where it had stopped already
    assert system.processes() == []
