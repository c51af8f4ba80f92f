"""One `up` at a time per data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local.errors import StartError
from deploy.local.layout import Layout


@contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """Hold the data folder's lock; raises `StartError` if another process has it.

    The kernel releases the lock with the process, so a crash leaves none behind. The descriptor
    is not inheritable: no service keeps the lock alive after `up`.
    """
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            raise StartError(
                f"The data folder {layout.data} is in use by another `permafrost up` "
                f"(process {holder or 'unknown'}): stop that one, or choose another folder "
                "with --data."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
