"""The whole system as a person starts it, in a data folder of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.support.polling import wait_until

ROOT = Path(__file__).resolve().parents[2]
_MARK = "PERMAFROST_TEST_SYSTEM"
# What would configure the system or the look of its output.
_CONFIGURING = {"REDIS_URL", "PORT", "WEB_CONCURRENCY", "LOG_LEVEL", "COLUMNS", "LINES"}


def free_port() -> int:
    """Return a TCP port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**extra: str) -> dict[str, str]:
    """Return this environment without what would configure the system, plus `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PERMAFROST_") and name not in _CONFIGURING
    }
    return {**kept, **extra}


class System:
    """`permafrost up` as a subprocess of `program`, by default this Python without the launcher."""

    def __init__(
        self,
        data: Path,
        *,
        options: Sequence[str] = (),
        program: Sequence[str] = (sys.executable, "-m", "deploy"),
        **environment: str,
    ) -> None:
        self.data = data
        self._program = list(program)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._mark = f"{os.getpid()}-{self.port}"
        self._options = list(options)
        self._environment = clean_environment(**environment, **{_MARK: self._mark})
        self.output = data.parent / f"{data.name}.up.log"

    def start(self, *, within_s: float = 120) -> None:
        """Start it and wait for the line that says it is ready."""
        self.launch()
        self.await_ready(within_s=within_s)

    def launch(self) -> None:
        """Start it and return at once."""
        command = [*self._program, "up", "--port", str(self.port)]
        with self.output.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(self.data), *self._options],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )

    def await_ready(self, *, within_s: float = 120) -> None:
        """Wait for the line that says it is ready."""
        wait_until(self._ready, within_s=within_s, what="the ready line", every_s=0.1)

    def _ready(self) -> bool:
        text = self.output.read_text()
        assert self.process.poll() is None, f"`up` ended:\n{text}\n{self.logs()}"
        return f"Permafrost is ready at {self.url}" in text

    def logs(self, lines: int = 30) -> str:
        """Return the ends of the services' logs, for a failure's message."""
        ends = []
        for path in sorted((self.data / "logs").glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            ends.append(f"== {path.name}\n" + "\n".join(tail))
        return "\n".join(ends)

    def processes(self) -> list[psutil.Process]:
        """Return every living process of this system, found by a mark in its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self._mark and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill_all(self) -> None:
        """SIGKILL every process at once."""
        doomed = self.processes()
        for process in doomed:
            try:
                process.kill()
            except psutil.Error:
                continue
        self.process.wait()
        wait_until(lambda: not self.processes(), within_s=20, what="all processes are gone")

    def stop(self) -> int:
        """Stop it as Ctrl-C does and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=60)
        finally:
            if self.processes():
                self.kill_all()
