"""The fork server: a process that has TensorFlow loaded, from which children are forked.

`python -m freezing.preloaded`, started by `freezing.fork_server`. It runs nothing and reads nothing
of anybody's. Each child is forked twice, so that the process that asked for it becomes its parent
(Linux gives orphans to the nearest process that adopts them), as if it had started it itself.

The server ends when it has been idle for a while, which gives its memory back, and with the thread
that started it.
"""

import contextlib
import gc
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from typing import NoReturn

from freezing.running.limits import let_others_first
from worker.confinement.system import die_with_parent, hide_memory, show_memory

_MOST_DESCRIPTORS = 1024  # that may have been open
_MOST_BYTES = 1 << 16  # of a message
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)


def _serve(parent: int, idle_s: float) -> None:
    """Fork a child for each message, until there is none for so many seconds."""
    if not die_with_parent(parent):
        return
    let_others_first()
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # it ends with its parent
    with socket.socket(fileno=os.dup(0)) as orders:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _load()
        hide_memory()  # from the children
        orders.settimeout(idle_s)
        with contextlib.suppress(TimeoutError):
            while True:
                folder, descriptors, _, _ = socket.recv_fds(orders, _MOST_BYTES, 4)
                if not folder:
                    return
                answer, *standard = descriptors
                with socket.socket(fileno=answer) as asking:
                    if not select.select([asking], [], [], 0)[0]:  # else it has been closed
                        asking.sendall(str(_forked(os.fsdecode(folder), standard)).encode())
                for descriptor in standard:
                    os.close(descriptor)


def _load() -> None:
    """Import what a child needs, and TensorFlow with it."""
    # What Keras keeps in its home it makes as it is imported.
    home = tempfile.mkdtemp()
    os.environ["KERAS_HOME"] = home
    import freezing.inspecting.inspection  # noqa: PLC0415 - TensorFlow reads the environment
    import freezing.stages  # noqa: F401, PLC0415 - as above

    shutil.rmtree(home, ignore_errors=True)
    gc.collect()
    gc.freeze()  # what is there stays shared with the children


def _forked(folder: str, standard: Sequence[int]) -> int:
    """Fork a child that belongs to the parent of this process; return its number."""
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid == 0:
            _be_child(folder, standard)
        os.write(writer, str(pid).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        pid = int(said.read())
    os.waitpid(between, 0)  # from here on the child has its new parent
    return pid


def _be_child(folder: str, standard: Sequence[int]) -> NoReturn:
    """Become what `python -m freezing` is."""
    status = 1
    try:
        os.setsid()
        for ignored in _SIGNALS:
            signal.signal(ignored, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
        os.closerange(3, _MOST_DESCRIPTORS)
        os.environ.update(HOME=folder, TMPDIR=folder, KERAS_HOME=folder)
        tempfile.tempdir = None
        show_memory()  # until it is confined: the maps of its namespace must be written
        from freezing.__main__ import main  # noqa: PLC0415

        status = main()
        sys.stderr.flush()
    finally:
        os._exit(status)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]))
    os._exit(0)
