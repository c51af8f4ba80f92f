"""supervisord as `up` sees it: started, asked, told to start and stop services."""

import http.client
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client  # supervisord answers, over a socket that only we can open  # nosec B411
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, cast

from deploy.local.configuration import dying_with_parent, environment, group_name
from deploy.local.die_with_parent import PARENT
from deploy.local.errors import StartError
from deploy.local.layout import Layout
from deploy.local.services import Service

_ANSWER_S = 10.0  # supervisord answers in milliseconds; longer means that it hangs
_START_S = 30.0  # for supervisord itself
_SUPERVISORD = (sys.executable, "-P", "-m", "supervisor.supervisord")


class ManagerError(Exception):
    """supervisord does not answer, because it is gone, not there yet or hangs."""


class State(IntEnum):
    """What supervisor says of a process (supervisor.states.ProcessStates)."""

    STOPPED = 0  # by request, or never started
    STARTING = 10  # runs, but not for long enough to count as started
    RUNNING = 20
    BACKOFF = 30  # ended too soon; will be started again
    STOPPING = 40
    EXITED = 100  # ended; will be started again at once
    FATAL = 200  # could not be started, or given up while stopping
    UNKNOWN = 1000


AT_REST = frozenset({State.STOPPED, State.EXITED, State.FATAL, State.UNKNOWN})


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """One service as supervisor sees it."""

    name: str
    state: State
    pid: int  # 0 when none
    started: int  # second of the last start since the epoch, 0 when never


class Manager:
    """The supervisord of one data folder."""

    def __init__(self, layout: Layout, services: Sequence[Service]) -> None:
        self._layout = layout
        self._services = services
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def stages(self) -> list[list[Service]]:
        """The services by stage, in starting order."""
        numbers = sorted({service.stage for service in self._services})
        return [[s for s in self._services if s.stage == number] for number in numbers]

    @property
    def alive(self) -> bool:
        """Whether supervisord runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start supervisord without any service; returns when it answers.

        Call this from the main thread: supervisord dies with the thread that started it.
        """
        self._layout.supervisor_socket.unlink(missing_ok=True)
        own = {PARENT: str(os.getpid())}
        with self._layout.supervisor_output.open("wb") as output:
            self._process = subprocess.Popen(
                dying_with_parent(
                    [*_SUPERVISORD, "-c", str(self._layout.supervisor_configuration)]
                ),
                cwd=self._layout.data,
                env={**environment(self._layout), **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches `up` alone, which stops it in order
            )
        deadline = time.monotonic() + _START_S
        while not self._ready():
            if not self.alive or time.monotonic() > deadline:
                raise StartError(self._failure())
            time.sleep(0.02)

    def start_service(self, service: Service) -> None:
        """Start a service unless it runs."""
        try:
            self._call("startProcess", _address(service), False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString and "SPAWN" not in fault.faultString:
                raise StartError(
                    f"{service.title} cannot be started ({fault.faultString}): "
                    f"see {self._layout.logs}."
                ) from fault

    def stop_service(self, service: Service) -> None:
        """Ask a service to stop; it is killed if it takes too long."""
        try:
            self._call("stopProcess", _address(service), False)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise ManagerError(fault.faultString) from fault

    def statuses(self) -> dict[str, ServiceStatus]:
        """Return what supervisor says of every service, by name."""
        answer = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        return {
            row["name"]: ServiceStatus(
                name=row["name"],
                state=State(row["state"]),
                pid=row["pid"],
                started=row["start"],
            )
            for row in answer
        }

    def shut_down(self) -> None:
        """Ask supervisord to stop whatever still runs, in order, and then itself."""
        self._call("shutdown")

    def kill(self) -> None:
        """End supervisord at once, so that it starts nothing again."""
        if self._process is not None:
            self._process.kill()

    def wait(self, seconds: float) -> bool:
        """Wait for supervisord's end; tell whether it came in time."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _ready(self) -> bool:
        try:
            return bool(self._call("getState"))
        except ManagerError:
            return False

    def _failure(self) -> str:
        said = self._layout.supervisor_output.read_text(errors="replace").strip()
        last = said.splitlines()[-1] if said else "it said nothing"
        return (
            f"The process manager could not be started ({last}): "
            f"see {self._layout.supervisor_output}."
        )

    def _call(self, method: str, *arguments: object) -> object:
        transport = _UnixTransport(self._layout.supervisor_socket)
        try:
            with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport) as proxy:
                return cast("object", getattr(proxy.supervisor, method)(*arguments))
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise ManagerError(str(error)) from error


def _address(service: Service) -> str:
    """Return how supervisor's interface is told which service is meant."""
    return f"{group_name(service.stage)}:{service.name}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:  # noqa: ARG002
        return _UnixConnection(self._path)
