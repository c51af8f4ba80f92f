"""The memory of a worker process: how much it may grow, and what it can do without."""

import ctypes
import mmap
import re
from pathlib import Path

import psutil

_SMAPS = Path("/proc/self/smaps")  # Linux only
# A stretch of a file that is only read and of which no page was written to, in memory or in swap.
# Pages that were written to, as when a library is put together, exist nowhere else.
_UNTOUCHED = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ [0-9a-f:]+ [1-9]\d* .*\n"
    r"(?:\w+:.*\n)*?Anonymous: +0 kB\n"
    r"(?:\w+:.*\n)*?Swap: +0 kB$",
    re.MULTILINE,
)
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


def untouched(smaps: str) -> list[tuple[int, int]]:
    """Return the stretches, as addresses, of files that are only read and are as on disk.

    `smaps` is what /proc/PID/smaps says.
    """
    return [(int(start, 16), int(end, 16)) for start, end in _UNTOUCHED.findall(smaps)]


def leave_libraries() -> None:
    """Let go of the pages of programs and libraries that this process has read so far.

    They stay in the system's cache, and what is needed again is mapped again when it is used.
    Importing TensorFlow reads 300 MB, nearly all of it for the last time: tables by which its
    libraries are put together.
    """
    if not _SMAPS.exists():
        return
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in untouched(_SMAPS.read_text()):
        libc.madvise(start, end - start, mmap.MADV_DONTNEED)


def leave_freed() -> None:
    """Give memory that was freed back to the system, where the C library keeps it.

    Loading a graph needs several times of what it has then.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
