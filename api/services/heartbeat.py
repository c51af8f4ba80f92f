"""The heartbeat of batches whose images a request is still bringing.

A request may take long, and an API process may die in the midst of it. The sweeper gives up a batch
that has had no heartbeat for a while, and deletes the images that it has.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import redis
import structlog

_log = structlog.get_logger(__name__)


class BatchHeartbeat:
    """A thread that renews the batches of this process; it runs while there are any."""

    def __init__(self, renew: Callable[[Sequence[str]], None], every_s: float) -> None:
        self._renew = renew
        self._every_s = every_s
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._thread: threading.Thread | None = None
        self._none_left = threading.Event()

    @contextmanager
    def of(self, job_id: str) -> Iterator[None]:
        """Renew a batch for as long as the context lasts."""
        with self._lock:
            self._ids.add(job_id)
            self._none_left.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._ids.discard(job_id)
                if not self._ids:
                    self._none_left.set()

    def _run(self) -> None:
        while True:
            self._none_left.wait(self._every_s)
            with self._lock:
                ids = sorted(self._ids)
                if not ids:
                    self._thread = None
                    return
            try:
                self._renew(ids)
            except redis.RedisError as error:
                _log.warning("heartbeat failed", action="heartbeat_failed", error=str(error))
