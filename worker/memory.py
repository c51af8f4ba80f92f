"""The memory of a worker process: how much it may grow before it is replaced."""

import psutil

_ROOM = 1.25  # times what the process has with its graphs loaded, at least


class MemoryLimit:
    """Tells when a process has grown too much.

    A limit that the graphs alone go beyond would replace the process over and over, so what it has
    once they are loaded counts as little as that.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._process = psutil.Process()
        self._limit = float(limit_bytes)

    def settle(self) -> None:
        """Take what the process has now for what it needs."""
        self._limit = max(self._limit, self.used * _ROOM)

    @property
    def used(self) -> int:
        """The resident set in bytes."""
        return int(self._process.memory_info().rss)

    @property
    def exceeded(self) -> bool:
        """Whether the process should be replaced."""
        return self.used > self._limit
