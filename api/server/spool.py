"""The bytes that one process keeps in files for all its clients."""

import threading


class Room:
    """Counts them. Any thread may call this."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Take room for so many bytes, or return False."""
        with self._lock:
            if self._taken + count > self._most:
                return False
            self._taken += count
            return True

    def give(self, count: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._taken -= count
