"""Files of the data folder are for its owner only: models, jobs, uploads, logs and API keys."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from deploy.local.errors import StartError
from deploy.local.layout import Layout

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_THEIRS = ("sources", "folders")  # what a person puts there is kept as it is: the way to it is shut


def keep_private() -> None:
    """Have this process and those that it starts make what only their own user can open."""
    os.umask(_OTHERS)


def check_own(data: Path) -> None:
    """Raise `StartError` where a folder is not one that can be made private."""
    try:
        found = data.stat()
    except OSError:  # it is still to be made
        return
    if not stat.S_ISDIR(found.st_mode):
        return
    if found.st_mode & stat.S_ISVTX or data == Path("/"):
        raise StartError(
            f"The data folder {data} is everybody's, and what lies in it must be yours only: "
            f"choose a folder of its own with --data, such as {data / 'permafrost'}."
        )
    if found.st_uid != os.geteuid() and found.st_mode & _OTHERS:
        raise StartError(
            f"The data folder {data} belongs to another user and is open to others: start as that "
            f"user, or type `chown -R {os.geteuid()} {data}`, or choose another with --data."
        )


def tighten(layout: Layout) -> int:
    """Take the rights of others off what earlier versions left; return of how much."""
    changed = 0
    for path in _entries(layout.data):
        with contextlib.suppress(OSError):  # gone meanwhile
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & _OTHERS:
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
                changed += 1
    return changed


def _entries(data: Path) -> Iterator[Path]:
    yield data
    for folder, folders, files in os.walk(data):
        if Path(folder) == data:
            folders[:] = [name for name in folders if name not in _THEIRS]
        yield from (Path(folder) / name for name in (*folders, *files))
