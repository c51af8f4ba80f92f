"""Confining a process that classifies: no network but Redis, no file but models and batches."""

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import redis
import structlog

from worker.confinement.confine import InForce, confine
from worker.confinement.connector import Connector, dial_of
from worker.redis.connection import redis_url
from worker.settings import Settings

_log = structlog.get_logger(__name__)
_CONNECT_S = 2.0
# Where systems keep the certificates that they trust.
_CERTIFICATES = (
    *("/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf"),
    *("/etc/pki/tls", "/etc/pki/ca-trust", "/etc/crypto-policies"),
)
_OF_CERTIFICATES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")


class Confined:
    """What confines this process, and what of the file system it was when that was done.

    Landlock knows a folder by its inode: one that is made or replaced later is out of reach, and
    only a new process can read it.
    """

    def __init__(self, confinement: InForce, roots: Iterable[Path] = ()) -> None:
        self.confinement = confinement
        self._roots = {root: _identity(root) for root in roots}

    @property
    def is_stale(self) -> bool:
        """Whether another process in the place of this one could read what this one cannot."""
        return any(_identity(root) != known for root, known in self._roots.items())


def confine_serving(settings: Settings) -> Confined:
    """Confine this process as the settings say. To be called while there is one thread.

    Raises `NotConfinedError` where they demand what cannot be had.
    """
    if settings.worker_confinement == "off":
        return Confined(InForce(missing=["everything (PERMAFROST_WORKER_CONFINEMENT=off)"]))
    roots = [settings.models_folder, *settings.folder_roots]
    for folder in (settings.models_folder, settings.data / "folders"):
        _make(folder)
    connection = redis.Redis.from_url(redis_url(settings)).connection_pool.make_connection()
    connector = Connector(dial_of(connection, _CONNECT_S))
    confined = Confined(confine([*roots, *_for_tls(redis_url(settings))], [], alone=True), roots)
    if settings.worker_confinement == "required":
        confined.confinement.check("PERMAFROST_WORKER_CONFINEMENT", "classify")
    connector.use()
    tell = _log.warning if confined.confinement.missing else _log.info
    tell(
        str(confined.confinement),
        action="worker_confined",
        missing=confined.confinement.missing,
    )
    return confined


def confine_trials(settings: Settings) -> None:
    """Confine a process that forks others, in which versions are tried, as the settings say.

    It needs no Redis. What it cannot be kept from is said of the process that serves.
    """
    if settings.worker_confinement != "off":
        _make(settings.models_folder)
        confine([settings.models_folder], [])


def check_serving(settings: Settings) -> None:
    """Raise `NotConfinedError` where processes forked from this one could not be confined.

    It is tried in one of them. Does nothing where the settings do not demand it.
    """
    if settings.worker_confinement != "required":
        return
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            found = confine([], [], alone=True)
            os.write(writer, "\n".join([*found.in_force, "", *found.missing]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        in_force, _, missing = pipe.read().partition("\n\n")
    os.waitpid(pid, 0)
    found = InForce(in_force=in_force.splitlines(), missing=missing.splitlines())
    found.check("PERMAFROST_WORKER_CONFINEMENT", "classify")


def _for_tls(url: str) -> list[Path]:
    """Return what is read to trust a Redis, and to be trusted by it."""
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return []
    given = [value for name, value in parse_qsl(parts.query) if name in _OF_CERTIFICATES]
    return [Path(path) for path in (*_CERTIFICATES, *given)]


def _make(folder: Path) -> None:
    """Make a folder, because what is not there yet cannot be allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _log.warning("folder not made", action="folder_not_made", error=str(error))


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
