"""Kills the process where it is about to send a ticket, once for each file `die` in the data."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import Celery

_ORDER = Path(os.environ["PERMAFROST_DATA"]) / "die"
_send = Celery.send_task


def _send_or_die(self: Celery, *args: Any, **options: Any) -> Any:
    with suppress(FileNotFoundError):
        _ORDER.unlink()  # by one process only
        os.kill(os.getpid(), signal.SIGKILL)
    return _send(self, *args, **options)


Celery.send_task = _send_or_die  # type: ignore[method-assign, assignment] # to be in between
