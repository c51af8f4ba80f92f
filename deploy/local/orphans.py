"""Processes of a data folder's system that outlived their `up`.

Every process of a local system carries the data folder in its environment. Whoever holds the
folder's lock may end those that it did not start.
"""

import os
import time
from collections.abc import Callable

import psutil

from deploy.local.configuration import MARK
from deploy.local.layout import Layout

_GRACE_S = 10.0  # for those that are on their way out, because their parent's death told them to
_POLL_S = 0.05


def find(layout: Layout) -> list[psutil.Process]:
    """Return the processes of the data folder's system, this one and those above it left out."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [p for p in psutil.process_iter() if p.pid not in own and _marked(p, layout)]


def _marked(process: psutil.Process, layout: Layout) -> bool:
    try:
        return (
            process.environ().get(MARK) == str(layout.data)
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.Error, OSError):  # gone meanwhile, or another user's
        return False


def kill(layout: Layout) -> None:
    """End whatever is left at once, with what it starts meanwhile."""
    while found := find(layout):
        for process in found:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(found, timeout=1.0)


def end(layout: Layout, hurry: Callable[[], bool]) -> None:
    """Let whatever is left end in order, and kill what does not, or all once `hurry` says so."""
    deadline = time.monotonic() + _GRACE_S
    while find(layout) and time.monotonic() < deadline and not hurry():
        time.sleep(_POLL_S)
    kill(layout)
