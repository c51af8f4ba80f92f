"""gunicorn's worker for the API: uvicorn's event loop behind the door.

gunicorn 'api:create_app()' --worker-class api.server.worker.DoorWorker
"""

import asyncio
import gc
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Any, Final

from flask import Flask
from uvicorn_worker import UvicornWorker

from api.server.connection import ClientConnection, close_slow_clients
from api.server.door import Door

_THREADS: Final = 32  # where gunicorn's `--threads` says nothing
# For which a thread may keep the interpreter while the loop waits for it. The loop lets it go with
# each read and write, so Python's 5 ms would make it slow where there are many connections.
_SWITCH_S: Final = 0.0005
# New objects before a garbage collection. Requests leave hardly any for it.
_GARBAGE: Final = 20_000
_NOTIFY_S: Final = 1
_BEFORE_KILL_S: Final = 1  # before gunicorn kills the process


class DoorWorker(UvicornWorker):  # type: ignore[misc]  # uvicorn_worker has no types
    """Serves what `create_app` returns; `--threads` are those that call Flask."""

    wsgi: Any  # what gunicorn loads, which becomes the door

    CONFIG_KWARGS: Final[dict[str, Any]] = {
        "loop": "asyncio",
        "http": ClientConnection,
        "interface": "asgi3",
        "lifespan": "on",
        "proxy_headers": False,  # see `PERMAFROST_TRUSTED_PROXIES`
        "server_header": False,
        "ws": "none",
    }

    def load_wsgi(self) -> None:
        """Load the application, put the door before it, and tune this process."""
        super().load_wsgi()
        if not isinstance(self.wsgi, Flask) or "services" not in self.wsgi.extensions:
            raise TypeError("Only what `api:create_app()` returns can be served by DoorWorker.")
        threads = self.cfg.threads if self.cfg.threads > 1 else _THREADS
        self.wsgi = Door(self.wsgi, threads)
        self.config.timeout_notify = _NOTIFY_S
        self.config.timeout_graceful_shutdown = max(1, self.cfg.graceful_timeout - _BEFORE_KILL_S)
        self.config.access_log = self.log.access_log_enabled
        sys.setswitchinterval(_SWITCH_S)
        gc.freeze()  # what is loaded by now stays for ever, so collections skip it
        gc.set_threshold(_GARBAGE)
        ClientConnection.limit = self.cfg.worker_connections
        _raise_descriptors(4 * self.cfg.worker_connections + 512)

    async def callback_notify(self) -> None:
        """Send gunicorn a heartbeat; end where gunicorn has ended."""
        self.notify()
        if self.ppid != os.getppid():
            self.log.info("gunicorn is gone: this worker ends, too.")
            os.kill(os.getpid(), signal.SIGTERM)

    async def _serve(self) -> None:
        slow_clients = asyncio.get_running_loop().create_task(close_slow_clients())
        try:
            await super()._serve()
        finally:
            slow_clients.cancel()


def _raise_descriptors(wanted: int) -> None:
    """Allow more open files: each connection is one, and may need others."""
    with suppress(ValueError, OSError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
