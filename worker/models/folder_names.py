"""The names of the folders in a folder, read again only after it has changed."""

import os
import time

SETTLED_NS = 2 * 10**9  # after a change, until its time tells it from the next one


class FolderNames:
    """Remembers listings. Any thread may call this.

    A folder's time of change is as coarse as the kernel's clock, so a listing of one that has just
    changed is not remembered.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int], list[str]]] = {}

    def names(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, sorted; none where there is no folder."""
        try:
            now, found = time.time_ns(), os.stat(folder)  # noqa: PTH116 - asked for each request
            state = (found.st_ino, found.st_mtime_ns)
            known = self._known.get(folder)
            if known is not None and known[0] == state:
                return known[1]
            names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            self._known.pop(folder, None)
            return []
        if now - found.st_mtime_ns > SETTLED_NS:
            self._known[folder] = (state, names)
        return names
