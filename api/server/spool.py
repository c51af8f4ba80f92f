"""How many bytes one process may spool: bodies and answers that wait in files for a client."""

import threading


class SpoolBudget:
    """Counts the spooled bytes of all clients. Any thread may call this."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._lock = threading.Lock()

    def reserve(self, count: int) -> bool:
        """Reserve so many bytes, or return False where they would be too many."""
        with self._lock:
            if self._used + count > self._most:
                return False
            self._used += count
            return True

    def release(self, count: int) -> None:
        """Give back what was reserved."""
        with self._lock:
            self._used -= count
