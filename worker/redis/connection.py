"""Connections to Redis: its URL for redis-py and for Celery, and clients."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.connection import SSLConnection, parse_url
from redis.retry import Retry

from worker.settings import Settings

_LONGEST_SOCKET_PATH = 100  # bytes; Linux allows 107, macOS 103
_AGAIN = (redis.exceptions.ConnectionError,)  # after which a command is tried once more


def embedded_socket(data: Path) -> Path:
    """Return the unix socket of the embedded Redis of a data folder.

    It lies in the folder itself, or, where that path is too long for a socket, in a private
    folder below the system's temporary folder, named after the data folder.
    """
    direct = data / "run" / "redis.sock"
    if len(os.fsencode(direct)) <= _LONGEST_SOCKET_PATH:
        return direct
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"permafrost-{os.getuid()}-{digest}" / "redis.sock"


def redis_url(settings: Settings) -> str:
    """Return the URL for redis-py."""
    return settings.redis_url or f"unix://{quote(str(embedded_socket(settings.data)))}?db=0"


def broker_url(settings: Settings) -> str:
    """Return the URL for Celery, which spells unix sockets in its own way."""
    options = _options(settings)
    user, password = (quote(options.get(name) or "", safe="") for name in ("username", "password"))
    who = f"{user}:{password}@" if password else f"{user}@" if user else ""
    database = options.get("db", 0)
    if "path" in options:
        return f"redis+socket://{who}{quote(options['path'])}?virtual_host={database}"
    scheme = "rediss" if _is_encrypted(options) else "redis"
    host = options.get("host", "localhost")
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{who}{host}:{options.get('port', 6379)}/{database}"


def broker_encryption(settings: Settings) -> dict[str, Any] | None:
    """Return how Celery checks the broker's certificate: as redis-py does; None without TLS.

    kombu checks nothing by default.
    """
    options = _options(settings)
    if not _is_encrypted(options):
        return None
    given = {name: value for name, value in options.items() if name.startswith("ssl_")}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **given}


def _options(settings: Settings) -> dict[str, Any]:
    """Return what redis-py reads in the address, so that both read it in one way."""
    return dict(parse_url(redis_url(settings)))


def _is_encrypted(options: dict[str, Any]) -> bool:
    return options.get("connection_class") is SSLConnection


def connect(settings: Settings, *, timeout_s: float = 4.0) -> redis.Redis:
    """Return a client of the job store; answers are `bytes`.

    Every command fails with `redis.exceptions.ConnectionError` or `TimeoutError` after about
    `timeout_s` seconds, so that no caller hangs on a Redis that is stopped or gone. A broken
    connection is tried once more, which covers a Redis that was restarted meanwhile, but silence
    is not, because the waiting would add up.
    """
    return redis.Redis.from_url(
        redis_url(settings), retry=Retry(_backoff(), 1, _AGAIN), **_limits(timeout_s)
    )


def connect_async(settings: Settings, *, timeout_s: float | None = 4.0) -> redis.asyncio.Redis:
    """Return the same for one event loop; with no `timeout_s`, its caller bounds the time."""
    return redis.asyncio.Redis.from_url(
        redis_url(settings), retry=AsyncRetry(_backoff(), 1, _AGAIN), **_limits(timeout_s)
    )


def _backoff() -> ExponentialBackoff:
    return ExponentialBackoff(cap=0.1, base=0.02)


def _limits(timeout_s: float | None) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": min(timeout_s or 2.0, 2.0),
        "health_check_interval": 15,
    }
