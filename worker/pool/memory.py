"""The memory of a worker process: how much it may grow, and what it can do without."""

import ctypes
import mmap
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from worker.pool.memory_headroom import Headroom

_SMAPS = Path("/proc/self/smaps")  # Linux only
# A stretch of memory that a file is mapped to: from, to, mode, path, and kB of it that are in
# memory, that were written to and that were written to and swapped out.
_STRETCH = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) [0-9a-f]+ \S+ [1-9]\d* +(\S.*)\n"
    r"(?:\w+:.*\n)*?Rss: +(\d+) kB\n"
    r"(?:\w+:.*\n)*?Anonymous: +(\d+) kB\n"
    r"(?:\w+:.*\n)*?Swap: +(\d+) kB$",
    re.MULTILINE,
)
# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
_MAPPINGS = 65536  # its default for M_MMAP_MAX
_LARGE_BYTES = 32 * 1024 * 1024  # the most that it makes of M_MMAP_THRESHOLD by itself
_NEVER = 2**31 - 1
_users: set[object] = set()  # of `reusing_freed`, now
_users_lock = threading.Lock()
_READ_ONLY = {"r--p", "r-xp"}
_ROOM = 1.25  # times what the process has with its graphs loaded, at least


class MemoryLimit:
    """Tells when a process has grown too much.

    A limit that the graphs alone go beyond would replace the process over and over, so what it has
    once they are loaded counts as little as that.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._process = psutil.Process()
        self._limit = float(limit_bytes)
        self._headroom: Headroom | None = None

    def bound(self, headroom: Headroom) -> None:
        """Have the kernel keep a limit beside this one, for what happens within a micro-batch."""
        self._headroom = headroom
        self._look()

    def settle(self) -> None:
        """Take what the process has now for what it needs."""
        self._limit = max(self._limit, self._look() * _ROOM)

    @property
    def used(self) -> int:
        """The resident set in bytes."""
        return int(self._process.memory_info().rss)

    @property
    def exceeded(self) -> bool:
        """Whether the process should be replaced. To be asked between two micro-batches."""
        return self._look() > self._limit

    def _look(self) -> int:
        """Return the resident set in bytes, and have the headroom follow what the process has."""
        found = self._process.memory_info()
        if self._headroom is not None:
            self._headroom.follow(found.data)
        return int(found.rss)


def untouched(smaps: str) -> list[tuple[int, int]]:
    """Return the stretches, as addresses, of programs and libraries that are as on disk.

    `smaps` is what /proc/PID/smaps says. A stretch is left out where any page of it was written to,
    as the loader does when it puts a library together and forbids writing afterwards: such pages
    exist nowhere else. There always are some, so that where none is told of, as by emulators, the
    rest is not believed either, and nothing is returned.
    """
    stretches = _STRETCH.findall(smaps)
    programs = {path for _, _, mode, path, *_ in stretches if "x" in mode}
    found, written = [], False
    for start, end, mode, path, resident, anonymous, swapped in stretches:
        if path not in programs or mode not in _READ_ONLY:
            continue
        if int(anonymous) or int(swapped):
            written = True
        elif int(resident):
            found.append((int(start, 16), int(end, 16)))
    return found if written else []


def leave_libraries() -> None:
    """Let go of the pages of programs and libraries that this process has read so far.

    They stay in the system's cache, and what is needed again is mapped again when it is used, as
    after the system itself was short of memory. Importing TensorFlow reads 370 MB, nearly all of it
    for the last time: tables by which its libraries are put together.

    Does nothing where the system does not tell what is mapped, or while the process has a second
    thread of Python, which could load a library between the look and the letting go.
    """
    if threading.active_count() > 1:
        return
    try:
        smaps = _SMAPS.read_text(errors="replace")
    except OSError:  # not Linux, or a kernel that tells no such thing
        return
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in untouched(smaps):
        # One that is refused, as of pages that are locked, stays as it is.
        libc.madvise(start, end - start, mmap.MADV_DONTNEED)


def share_heap() -> None:
    """Have all threads of this process allocate from one heap, so that each reuses what any freed.

    glibc gives each thread a heap of its own that never holds more than 64 MiB, so that larger
    pieces, such as weights, come from the system and go back to it each time. A worker's threads
    take turns, so that there is little to wait for. It counts for this process and those that it
    forks, as long as there is one thread yet. Does nothing with another C library.
    """
    _tune(_M_ARENA_MAX, 1)


@contextmanager
def reusing_freed() -> Iterator[None]:
    """Have memory that is freed used again, and given back to the system at the end only.

    Loading a graph copies its weights again and again. Most of its time is the system's, which
    hands out empty pages, unless one copy takes the place of another.
    """
    user = object()
    with _users_lock:
        _users.add(user)
        _tune(_M_MMAP_MAX, 0)
        _tune(_M_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        with _users_lock:
            _users.discard(user)
            if not _users:
                # What glibc arrives at by itself in a process that frees large pieces.
                _tune(_M_MMAP_MAX, _MAPPINGS)
                _tune(_M_MMAP_THRESHOLD, _LARGE_BYTES)
                _tune(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES)
        leave_freed()


def leave_freed() -> None:
    """Give memory that was freed back to the system, where the C library keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def _tune(parameter: int, value: int) -> None:
    tune = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's
    if tune is not None:
        tune(parameter, value)
