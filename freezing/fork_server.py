"""The fork server of freezes, as the process that starts children sees it. Imports no TensorFlow.

Loading TensorFlow takes about five seconds of a processor, which is more than most freezes do. The
server (`freezing.preloaded`) loads it once, and forks a child for each order.
"""

import atexit
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_IDLE_S = 60.0


class ForkServer:
    """A running server, as the process that starts children sees it."""

    def __init__(self, variables: Mapping[str, str], *, idle_s: float = _IDLE_S) -> None:
        """Start it with these variables as its environment; return at once.

        It ends once nothing was asked of it for `idle_s` seconds.
        """
        self.variables = dict(variables)
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "freezing.preloaded", str(os.getpid()), str(idle_s)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=_ROOT,
                env=self.variables,
            )

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, folder: Path, standard: Sequence[int]) -> socket.socket:
        """Have a child forked; return the socket on which its process number will come.

        `standard` are its standard input, output and error, and `folder` becomes its home. The
        socket ends without a number where the server does. Nothing is forked any more once it was
        closed. Raises `OSError` where the server is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._orders, [os.fsencode(folder)], [theirs.fileno(), *standard])
            except OSError:
                ours.close()
                raise
        return ours

    def end(self) -> None:
        """End it; children live on."""
        self._orders.close()
        self._process.kill()
        self._process.wait()


_present: list[ForkServer] = []  # none or one


def fork_server(variables: Mapping[str, str]) -> ForkServer:
    """Return the server of this process with such an environment, started if need be."""
    if _present and not (_present[0].is_running and _present[0].variables == dict(variables)):
        end_fork_server()
    if not _present:
        _present.append(ForkServer(variables))
        atexit.register(end_fork_server)
    return _present[0]


def end_fork_server() -> None:
    """End the server of this process, if it has one."""
    while _present:
        _present.pop().end()
