"""Says of batches that a request is still bringing that it is, for as long as it does.

A request may take long, and an API process may die in the midst of it. What says nothing of a batch
for a while is taken for dead, and the sweeper deletes what it brought.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import redis
import structlog

_log = structlog.get_logger(__name__)


class Keeper:
    """A thread that speaks for the batches of a process; it runs while there are any."""

    def __init__(self, keep: Callable[[Sequence[str]], None], every_s: float) -> None:
        self._keep = keep
        self._every_s = every_s
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._thread: threading.Thread | None = None
        self._none_left = threading.Event()

    @contextmanager
    def keeping(self, job_id: str) -> Iterator[None]:
        """Speak for a batch."""
        with self._lock:
            self._ids.add(job_id)
            self._none_left.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
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
                self._keep(ids)
            except redis.RedisError as error:
                _log.warning("batches not kept", action="batches_not_kept", error=str(error))
