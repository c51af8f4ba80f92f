"""Endings: one subscription per process that wakes whoever waits for a job to end."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
import structlog

from worker.jobs.keys import key

_log = structlog.get_logger(__name__)
_RECONNECT_S = 1.0
_LISTEN_S = 5.0  # for a message, at most; then the connection is looked after
_IDLE_S = 5.0  # after which nobody waits any more: every ending of the system costs who listens
ID_BYTES = 26  # of a message of the channel; what follows is the record


class Ending(threading.Event):
    """Is set when a job has ended or may have ended unnoticed."""

    record = b""  # of the job that has ended, where that was told: names and values, JSON


class Endings:
    """Tells waiting threads that their job ended, over one connection for all of them.

    A message is missed while there is no connection. So all waiters are woken once there is one
    again; they must look at the record themselves, and had better do so from time to time.
    """

    def __init__(self, connect: Callable[[], redis.Redis], *, idle_s: float = _IDLE_S) -> None:
        """`idle_s`: how long to go on listening once nobody waits."""
        self._connect = connect
        self._idle_s = idle_s
        self._waiting: defaultdict[bytes, list[Ending]] = defaultdict(list)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None  # while somebody waits, and a little longer
        self._waited = 0.0  # when somebody did, of the monotonic clock
        self._closed = threading.Event()

    def close(self) -> None:
        """Listen no more; the thread ends soon after."""
        self._closed.set()

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Ending]:
        """Give an event that is set when the job ends or may have ended unnoticed."""
        event, name = Ending(), job_id.encode()
        with self._lock:
            self._waiting[name].append(event)
            if self._thread is None:
                # Started here rather than at import: it must live in the process that serves.
                self._thread = threading.Thread(target=self._listen, name="endings", daemon=True)
                self._thread.start()
        try:
            yield event
        finally:
            with self._lock:
                self._waiting[name].remove(event)
                if not self._waiting[name]:
                    del self._waiting[name]

    def _listen(self) -> None:
        while self._is_needed():
            try:
                with self._connect() as client, client.pubsub() as channel:
                    channel.subscribe(key("ended"))
                    while self._is_needed():
                        message = channel.get_message(timeout=min(_LISTEN_S, self._idle_s))
                        if message is None:
                            continue
                        if message["type"] == "subscribe":
                            self._wake_all()
                        elif message["type"] == "message":
                            self._wake(message["data"])
            except Exception as error:  # the thread must outlive whatever the connection meets
                if not self._closed.wait(_RECONNECT_S):
                    _log.warning(
                        "endings interrupted", action="endings_interrupted", error=str(error)
                    )

    def _is_needed(self) -> bool:
        """Whether to go on listening; where not, the next who waits starts a thread again."""
        with self._lock:
            now = time.monotonic()
            if self._waiting:
                self._waited = now
            if not self._closed.is_set() and now - self._waited < self._idle_s:
                return True
            self._thread = None
            return False

    def _wake_all(self) -> None:
        with self._lock:
            for events in self._waiting.values():
                for event in events:
                    event.set()

    def _wake(self, message: bytes) -> None:
        with self._lock:
            for event in self._waiting.get(message[:ID_BYTES], ()):
                event.record = message[ID_BYTES:]
                event.set()
