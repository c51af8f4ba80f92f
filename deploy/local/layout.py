"""Where the local system keeps what it needs below its data folder."""

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StartError
from worker.redis.connection import embedded_socket


@dataclass(frozen=True)
class Layout:
    """The files and folders of one data folder."""

    data: Path  # absolute

    @property
    def run(self) -> Path:
        """What belongs to the running system only: configurations, sockets, the lock."""
        return self.data / "run"

    @property
    def logs(self) -> Path:
        """One log per service, rotated."""
        return self.data / "logs"

    @property
    def redis(self) -> Path:
        """Working folder of the embedded Redis, with its append-only file."""
        return self.data / "redis"

    @property
    def lock(self) -> Path:
        """Locked by the `up` that uses the folder; holds its process id."""
        return self.run / "lock"

    @property
    def redis_configuration(self) -> Path:
        """Configuration of the embedded Redis."""
        return self.run / "redis.conf"

    @property
    def redis_socket(self) -> Path:
        """Unix socket of the embedded Redis."""
        return embedded_socket(self.data)

    @property
    def supervisor_configuration(self) -> Path:
        """Configuration of supervisord."""
        return self.run / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        """Unix socket of supervisord.

        The name is short because supervisord binds it with `.PID` behind it first and renames.
        """
        return self.redis_socket.with_name("sv.sock")

    @property
    def supervisor_output(self) -> Path:
        """What supervisord prints before it has a log, such as complaints about its start."""
        return self.run / "supervisord.out"

    def log(self, name: str) -> Path:
        """Return the log of a service."""
        return self.logs / f"{name}.log"

    def prepare(self) -> None:
        """Make the folders; raises `StartError` if they cannot be made or written."""
        if not str(self.data).isprintable():
            raise StartError(
                "The data folder's path has a control character in it: "
                "choose another one with --data."
            )
        for folder in (self.data, self.run, self.logs, self.redis):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                raise StartError(
                    f"The data folder {self.data} cannot be used ({_reason(folder, error)}): "
                    "put that right, or choose another folder with --data."
                ) from error
        self._prepare_sockets()

    @property
    def has_keys(self) -> Path:
        """There once an API key was made for the embedded Redis, which need not run to know it."""
        return self.data / "has-keys"

    def clear(self) -> None:
        """Remove what has no meaning once nothing runs any more."""
        for socket in (self.redis_socket, self.supervisor_socket):
            socket.unlink(missing_ok=True)
        if self.redis_socket.parent != self.run:
            with contextlib.suppress(OSError):
                self.redis_socket.parent.rmdir()

    def _prepare_sockets(self) -> None:
        """Make the folder of the sockets where it is not `run`, out of reach of other users."""
        folder = self.redis_socket.parent
        if folder == self.run:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
        if not private or found.st_uid != os.getuid():
            raise StartError(
                f"{folder}, needed because the data folder's path is too long for a socket, "
                "belongs to someone else or is open to others: remove it, or choose a shorter "
                "path with --data."
            )


def _reason(folder: Path, error: OSError) -> str:
    for path in (folder, *folder.parents):
        if path.is_file():
            return f"{path} is a file"
    return f"{folder}: {error.strerror}"
