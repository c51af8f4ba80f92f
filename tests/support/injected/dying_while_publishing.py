"""Kills the process in the middle of a publication, once for the file `die` in the data folder.

The file holds where: `staged`, before the version becomes visible, or `renamed`, right after.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from worker.models import durable, registry
from worker.models.alias_files import AliasFiles

_ORDER = Path(os.environ["PERMAFROST_DATA"]) / "die"
_write, _move_alias = durable.write_durably, AliasFiles.move


def _die(where: str) -> None:
    with suppress(FileNotFoundError):
        if _ORDER.read_text() == where:
            _ORDER.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def _write_or_die(path: Path, content: bytes) -> None:
    _write(path, content)
    if path.name == registry.MANIFEST_FILE:
        _die("staged")


def _move_or_die(self: AliasFiles, *args: Any) -> None:
    _die("renamed")
    _move_alias(self, *args)


vars(registry)["write_durably"] = _write_or_die
AliasFiles.move = _move_or_die  # type: ignore[method-assign, assignment] # likewise
