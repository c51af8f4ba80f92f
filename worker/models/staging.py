"""The folder in which a version is written before one rename makes it visible."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from worker.errors import ModelUnavailableError
from worker.models.durable import link_durably

_STAGED_S = 24 * 3600  # after which a folder in `.staging` was left behind by a process that died


@contextlib.contextmanager
def staged(root: Path) -> Iterator[Path]:
    """Give a folder below `root` to write a version in; what was not published is deleted."""
    staging = _stage(root)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def link(path: Path, version: str, wanted: tuple[str, int], staging: Path) -> None:
    """Link a file of a version, `NAME@VERSION`, into `staging`.

    Raises `ModelUnavailableError` unless its sha256 and size are those `wanted`.
    """
    try:
        found = link_durably(path, staging / path.name)
    except FileNotFoundError:
        found = None
    if found != wanted:
        raise ModelUnavailableError(
            f"The file {path.name} of {version} is not what was published: freeze the model again."
        )


def _stage(root: Path) -> Path:
    """Make such a folder, after deleting those that dead processes left."""
    folder = root / ".staging"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STAGED_S:
                shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=folder))
