"""Giving memory back to the system: what was freed, and pages of libraries that were only read."""

import ctypes
import mmap
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SMAPS = Path("/proc/self/smaps")  # Linux only
# A mapping of a file: its first and last address, mode and path, and how many kB of it are in
# memory, were written to, and were written to and swapped out.
_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) [0-9a-f]+ \S+ [1-9]\d* +(\S.*)\n"
    r"(?:\w+:.*\n)*?Rss: +(\d+) kB\n"
    r"(?:\w+:.*\n)*?Anonymous: +(\d+) kB\n"
    r"(?:\w+:.*\n)*?Swap: +(\d+) kB$",
    re.MULTILINE,
)
# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
_DEFAULT_MMAP_MAX = 65536  # its default for M_MMAP_MAX
_LARGE_BYTES = 32 * 1024 * 1024  # the most that it makes of M_MMAP_THRESHOLD by itself
_NEVER = 2**31 - 1
_READ_ONLY = {"r--p", "r-xp"}
_users: set[object] = set()  # who is within `reusing_freed` now
_users_lock = threading.Lock()


def untouched(smaps: str) -> list[tuple[int, int]]:
    """Return the mappings of programs and libraries that are as on disk, as pairs of addresses.

    `smaps` is the text of /proc/PID/smaps. A mapping of which any page was written to is left out:
    the loader does so when it puts a library together and forbids writing afterwards, and such
    pages exist nowhere else. There are always some. Where none is listed, as under an emulator, the
    text is not trusted, and nothing is returned.
    """
    mappings = _MAPPING.findall(smaps)
    programs = {path for _, _, mode, path, *_ in mappings if "x" in mode}
    found, written = [], False
    for start, end, mode, path, resident, anonymous, swapped in mappings:
        if path not in programs or mode not in _READ_ONLY:
            continue
        if int(anonymous) or int(swapped):
            written = True
        elif int(resident):
            found.append((int(start, 16), int(end, 16)))
    return found if written else []


def release_libraries() -> None:
    """Release the pages of programs and libraries that this process has read so far.

    They stay in the system's cache. A page that is needed again is mapped again, as it is after the
    system was short of memory. Importing TensorFlow reads 370 MB, nearly all of it for the last
    time: tables from which its libraries are put together.

    Does nothing where the system does not list mappings, or while the process has a second Python
    thread, which could load a library between reading the list and releasing the pages.
    """
    if threading.active_count() > 1:
        return
    try:
        smaps = _SMAPS.read_text(errors="replace")
    except OSError:  # not Linux, or a kernel without smaps
        return
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in untouched(smaps):
        # Where it is refused, as for locked pages, they stay as they are.
        libc.madvise(start, end - start, mmap.MADV_DONTNEED)


def share_heap() -> None:
    """Have all threads of this process allocate from one heap, so that each reuses what any freed.

    glibc gives each thread a heap of its own of at most 64 MiB, so that larger blocks, such as
    weights, come from the system and go back to it each time. A worker's threads take turns, so
    they seldom wait for the one heap. To be called while the process has one thread; it holds for
    this process and those that it forks. Does nothing with another C library.
    """
    _tune(_M_ARENA_MAX, 1)


@contextmanager
def reusing_freed() -> Iterator[None]:
    """Within this, freed memory is reused, and given back to the system only at the end.

    Loading a graph copies its weights several times. Without this, most of the time goes to the
    system, which hands out empty pages for each copy.
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
                # What glibc sets by itself in a process that frees large blocks.
                _tune(_M_MMAP_MAX, _DEFAULT_MMAP_MAX)
                _tune(_M_MMAP_THRESHOLD, _LARGE_BYTES)
                _tune(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES)
        release_freed()


def release_freed() -> None:
    """Give memory that was freed back to the system, where the C library keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def _tune(parameter: int, value: int) -> None:
    tune = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's
    if tune is not None:
        tune(parameter, value)
