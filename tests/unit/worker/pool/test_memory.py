"""What a process gives back, tried in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.system import ROOT
from worker.pool.allocator import untouched

LINUX = pytest.mark.skipif(
    not Path("/proc/self/smaps").exists(), reason="only Linux tells what a process maps"
)

STRETCH = """\
{start}-{end} {mode} 00000000 fe:00 {inode} {path}
Size:                 24 kB
Rss:            {resident:>8} kB
Anonymous:      {anonymous:>8} kB
AnonHugePages:         0 kB
Swap:           {swap:>8} kB
SwapPss:               0 kB
VmFlags: rd mr mw me
"""
LIBRARY = {
    "start": "7f0000000000",
    "end": "7f0000006000",
    "mode": "r--p",
    "inode": 260386,
    "path": "/usr/lib/a library.so",
    "resident": 24,
    "anonymous": 0,
    "swap": 0,
}
PLACE = (0x7F0000000000, 0x7F0000006000)


LOADED = STRETCH.format(**{**LIBRARY, "start": "1000", "end": "2000", "mode": "r-xp"})
RELOCATED = STRETCH.format(**{**LIBRARY, "start": "3000", "end": "4000", "anonymous": 4})


@pytest.mark.parametrize(
    ("differing", "is_untouched"),
    [
        ({}, True),
        ({"mode": "r-xp"}, True),
        ({"mode": "rw-p"}, False),
        ({"mode": "rwxp"}, False),
        ({"mode": "r--s"}, False),
        ({"resident": 0}, False),  # nothing to let go of
        ({"anonymous": 4}, False),  # written to when the library was put together
        ({"swap": 4}, False),  # the same, and swapped out since
        ({"inode": 0, "path": ""}, False),  # of no file
        ({"inode": 0, "path": "[vdso]"}, False),
        ({"path": "/a file of data"}, False),  # of which nothing is executable
    ],
)
def test_only_pages_of_libraries_that_are_as_on_disk_are_let_go(
    differing: dict[str, object], is_untouched: bool
) -> None:
    stretch = STRETCH.format(**{**LIBRARY, **differing})
    assert untouched(LOADED + stretch + RELOCATED) == [
        (0x1000, 0x2000),
        *([PLACE] if is_untouched else []),
    ]


def test_a_system_that_tells_of_no_page_that_was_written_to_is_not_believed() -> None:
    """As QEMU's emulation of processes, which says zero of everything that it does not know."""
    assert untouched(LOADED + STRETCH.format(**LIBRARY)) == []


def test_a_system_that_does_not_tell_which_pages_were_written_to_is_not_believed() -> None:
    told = [line for line in (LOADED + RELOCATED).splitlines(keepends=True) if "Anon" not in line]
    assert untouched("".join(told)) == []


def _run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@LINUX
def test_a_process_works_on_after_it_has_let_its_libraries_go() -> None:
    said = _run(
        """
import hashlib, json, psutil
import numpy as np
from worker.pool.allocator import release_libraries
def of_files():
    info = psutil.Process().memory_info()
    return info.shared
before = of_files()
release_libraries()
after = of_files()
assert after < before / 2, (before, after)
matrix = np.eye(200) * 2
assert (matrix @ matrix).trace() == 800.0
assert np.linalg.inv(matrix).trace() == 100.0
assert json.loads("[1]") == [1] and hashlib.sha256(b"").hexdigest().startswith("e3b0")
import decimal, xml.dom.minidom  # libraries can be loaded still
print(decimal.Decimal("0.1") * 3)
"""
    )
    assert said == "0.3\n"


@LINUX
def test_a_process_with_a_second_thread_keeps_its_libraries() -> None:
    said = _run(
        """
import psutil, threading
from worker.pool.allocator import release_libraries
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
before = psutil.Process().memory_info().shared
release_libraries()
kept = psutil.Process().memory_info().shared >= before
stop.set()
thread.join()
print(kept)
"""
    )
    assert said == "True\n"


@LINUX
def test_what_was_written_over_a_file_stays(tmp_path: Path) -> None:
    """As the loader does with a library: it writes over private pages, then forbids writing."""
    path = tmp_path / "library"
    path.write_bytes(b"on disk." * 2048)
    said = _run(
        """
import ctypes, mmap, sys
from worker.pool.allocator import release_libraries
with open(sys.argv[1], "rb") as file:
    pages = mmap.mmap(file.fileno(), 16384, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    code = mmap.mmap(file.fileno(), 16384, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
pages[4096:4104] = b"put here"
place = ctypes.addressof(ctypes.c_char.from_buffer(pages))
libc = ctypes.CDLL(None)
assert libc.mprotect(ctypes.c_void_p(place), ctypes.c_size_t(16384), mmap.PROT_READ) == 0
release_libraries()
print(pages[4096:4104], pages[:8])
""",
        str(path),
    )
    assert said == "b'put here' b'on disk.'\n"


@LINUX
def test_memory_that_was_freed_goes_back_to_the_system() -> None:
    said = _run(
        """
import ctypes, psutil
from worker.pool.allocator import release_freed
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.malloc.argtypes = [ctypes.c_size_t]
blocks = [libc.malloc(60_000) for _ in range(1000)]
for block in blocks:
    ctypes.memset(block, 1, 60_000)
for block in blocks[:-1]:  # the last one holds the heap's end in its place
    libc.free(block)
before = psutil.Process().memory_info().rss
release_freed()
after = psutil.Process().memory_info().rss
print("less" if before - after > 50_000_000 or not hasattr(libc, "malloc_trim") else before - after)
"""
    )
    assert said == "less\n"


# Takes and frees 100 MB twice, as graphs are loaded: in a thread, inside `reusing_freed` or not.
_TWICE = """
import ctypes, resource, sys, threading, psutil
from contextlib import nullcontext
from worker.pool.allocator import reusing_freed, share_heap
libc = ctypes.CDLL(None)
if not hasattr(libc, "malloc_trim"):
    sys.exit("not glibc")
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.malloc.argtypes = [ctypes.c_size_t]
def taken():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(100_000_000)
    ctypes.memset(block, 1, 100_000_000)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def load():
    before = psutil.Process().memory_info().rss
    with reusing_freed() if "reusing" in sys.argv else nullcontext():
        found = taken(), taken()
    found += (psutil.Process().memory_info().rss - before,)
    print("none" if found[1] < found[0] / 20 else "all" if found[1] > found[0] / 2 else found)
    print("kept" if found[2] > 50_000_000 else "given back")
share_heap()
thread = threading.Thread(target=load)
thread.start()
thread.join()
"""


@LINUX
@pytest.mark.parametrize(
    ("how", "pages"), [(("reusing",), "none"), ((), "all")], ids=["while loading", "otherwise"]
)
def test_memory_that_was_freed_is_used_again_while_a_graph_is_loaded(
    how: tuple[str, ...], pages: str
) -> None:
    """How many pages the system had to hand out the second time; in the end it has all again."""
    assert _run(_TWICE, *how) == f"{pages}\ngiven back\n"
