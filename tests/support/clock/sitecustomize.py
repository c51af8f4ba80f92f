"""Shifts this process's wall clock by what a file says, from the first import on, at any time.

With this folder on PYTHONPATH, Python imports this before anything else. The file that
`PERMAFROST_TEST_CLOCK` names holds the seconds as one double; another process changes them. Clocks
that never jump (`time.monotonic`, `perf_counter`) stay as they are, as they do on a real machine.
"""

import datetime
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any

with Path(os.environ["PERMAFROST_TEST_CLOCK"]).open("rb") as _file:
    _shift = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
_time, _datetime = time.time, datetime.datetime


class _LikeReal(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _datetime)


def _now() -> float:
    shift: float = struct.unpack("d", _shift[:8])[0]
    return _time() + shift


class _Shifted(datetime.datetime, metaclass=_LikeReal):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return _datetime.fromtimestamp(_now(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _datetime.fromtimestamp(_now(), datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return _datetime.fromtimestamp(_now())


time.time = _now
time.time_ns = lambda: round(_now() * 1e9)
datetime.datetime = _Shifted  # type: ignore[misc] # in place of the original
