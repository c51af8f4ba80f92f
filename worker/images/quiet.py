"""Ignoring Pillow's warnings while images are decoded, in several threads at once."""

import ctypes
import logging
import re
import threading
import warnings
from pathlib import Path
from types import TracebackType


class IgnoredWarnings:
    """Ignores all warnings inside of `with`. Safe for threads.

    `warnings.catch_warnings` alone is not, because the filters belong to the process: where two
    threads overlap, the first to leave restores the filters too early, and the last one leaves all
    warnings ignored for ever. Here the first thread to enter saves the filters, and the last one to
    leave restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(kind, error, traceback)


def silence_libraries() -> None:
    """Keep Pillow's logger, and libtiff, which writes to standard error, from filling logs.

    libtiff has a line for every bad code word, so that a small file becomes megabytes of them. What
    matters is raised all the same.
    """
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    try:
        loaded = set(re.findall(r"/\S*libtiff[^/\s]*", Path("/proc/self/maps").read_text()))
    except OSError:  # not Linux
        return
    for path in loaded:
        try:
            library = ctypes.CDLL(path)
            library.TIFFSetErrorHandler(None)
            library.TIFFSetWarningHandler(None)
        except (OSError, AttributeError):
            continue
