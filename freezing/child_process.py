"""Starting the process of one child, and ending it. Imports no TensorFlow."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

from freezing.fork_server import end_fork_server, fork_server
from freezing.running.environment import environment
from worker.confinement.system import adopt_orphans
from worker.errors import FreezeError
from worker.inference.onednn import switch_on

_ROOT = Path(__file__).resolve().parents[1]
_MOST_TRIES = 3  # of having it forked
_MOST_BYTES = 64  # of a process number


class ChildProcess:
    """A process that runs `freezing.__main__`, in a session and process group of its own.

    It is forked by the fork server, and a child of this process all the same; where the system lets
    no process adopt another, it is started as any other program.
    """

    def __init__(self, folder: Path) -> None:
        """Start it, with `folder` as its home; it has a number once `is_forked`."""
        variables = environment(folder)
        variables.update(TF_CPP_MIN_LOG_LEVEL="1", CUDA_VISIBLE_DEVICES="-1")
        switch_on(variables)  # as where the graph will be served, with which it is compared
        # What a person set for Keras must not change how a file is read.
        variables.update(KERAS_BACKEND="tensorflow", KERAS_HOME=str(folder))
        self._folder, self._variables = folder, variables
        self._answer: socket.socket | None = None
        self._tries = 0
        self._pid = 0
        self._status: int | None = None
        self._program: subprocess.Popen[bytes] | None = None
        reader, self.stdin = _pipe_to()
        self.stdout, output = _pipe_from()
        self.stderr, errors = _pipe_from()
        self._theirs = [reader, output, errors]
        # What it leaves behind becomes ours, and can be found.
        try:
            adopt_orphans(True)
        except (OSError, AttributeError):
            self._start()
        else:
            self._ask()

    def is_forked(self, within_s: float) -> bool:
        """Whether it runs; wait for that for so many seconds at most. Raises `FreezeError`."""
        if self._answer is None or not select.select([self._answer], [], [], within_s)[0]:
            return self._answer is None
        said = b""
        with contextlib.suppress(OSError):
            said = self._answer.recv(_MOST_BYTES)
        self._answer.close()
        self._answer = None
        if said:
            self._pid = int(said)
            self._close_theirs()
        else:
            end_fork_server()  # it is ending, or could not start
            self._ask()
        return bool(said)

    def has_ended(self) -> bool:
        """Whether it has ended; it is not waited for yet."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._pid, flags) is not None

    def kill(self) -> int:
        """End it and what is in its group; return its exit status, below 0 for a signal."""
        if self._pid and self._status is None:
            # Also where it has ended by itself: something that it started may be left, and until
            # it is waited for nobody else gets the number of its group.
            for end in (os.killpg, os.kill):  # it may not lead a group yet
                with contextlib.suppress(ProcessLookupError):
                    end(self._pid, signal.SIGKILL)
        self._close_theirs()
        for pipe in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        if self._answer is not None:
            self._answer.close()
            self._answer = None
        if self._pid and self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            if self._program is not None:
                self._program.returncode = self._status
        return self._status or 0

    def _ask(self) -> None:
        # The server's home is nobody's.
        home = {"HOME": os.devnull, "TMPDIR": os.devnull, "KERAS_HOME": os.devnull}
        while self._tries < _MOST_TRIES:
            self._tries += 1
            try:
                server = fork_server({**self._variables, **home})
                self._answer = server.ask(self._folder, self._theirs)
            except OSError:
                end_fork_server()
            else:
                return
        raise FreezeError(
            "The process of the freeze could not be started: memory may be too little. Try again."
        )

    def _start(self) -> None:
        reader, output, errors = self._theirs
        self._program = subprocess.Popen(
            [sys.executable, "-m", "freezing"],
            stdin=reader,
            stdout=output,
            stderr=errors,
            cwd=_ROOT,
            env=self._variables,
            start_new_session=True,
        )
        self._pid = self._program.pid
        self._close_theirs()

    def _close_theirs(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())


def _pipe_to() -> tuple[int, IO[bytes]]:
    """Return what a process reads, and where this one writes that."""
    reader, writer = os.pipe()
    return reader, os.fdopen(writer, "wb")


def _pipe_from() -> tuple[IO[bytes], int]:
    """Return where this process reads, and what another one writes to."""
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb"), writer
