"""A clock that jumps: the other end of `tests.support.clock.sitecustomize`."""

import struct
from pathlib import Path


class JumpingClock:
    """The wall clock of the processes that are started with its `environment`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.write_bytes(struct.pack("d", 0.0))

    @property
    def environment(self) -> dict[str, str]:
        """What a process must be started with."""
        return {
            "PYTHONPATH": str(Path(__file__).parent / "clock"),
            "PERMAFROST_TEST_CLOCK": str(self._file),
        }

    def set(self, hours: float) -> None:
        """Set the clock so much before or after the real one."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("d", hours * 3600))
