"""The aliases of models, each model's in one file, `NAME/aliases.json`."""

import json
import os
import time
from pathlib import Path

from worker.errors import ModelUnavailableError
from worker.models.durable import sync_folder, write_durably
from worker.models.folder_names import SETTLED_NS

_ALIASES_FILE = "aliases.json"


class AliasFiles:
    """Reads and writes the aliases below one folder. Safe for threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._place = os.fspath(root)  # used for each request, for which `Path` is slow
        # By model: inode, time of change in ns and size of its file, and the aliases in it.
        self._known: dict[str, tuple[tuple[int, int, int], dict[str, int]]] = {}

    def read(self, name: str) -> dict[str, int]:
        """Return the aliases of a model; raise `ModelUnavailableError` where they are damaged."""
        path = f"{self._place}/{name}/{_ALIASES_FILE}"
        try:
            # The file is replaced and never written in place, so its inode and time show a change.
            # A file that was just written may have both in common with the next one: time is as
            # coarse as the kernel's clock, and inodes are used again. So it is not remembered yet.
            found = os.stat(path)  # noqa: PTH116
            state = (found.st_ino, found.st_mtime_ns, found.st_size)
            known = self._known.get(name)
            if known is None or known[0] != state:
                settled = time.time_ns() - found.st_mtime_ns > SETTLED_NS
                aliases = json.loads(Path(path).read_bytes())
                known = (state, {str(alias): int(number) for alias, number in aliases.items()})
                if settled:
                    self._known[name] = known
            return dict(known[1])
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ModelUnavailableError(
                f"The aliases of model '{name}' cannot be read ({type(error).__name__}): name a "
                "version, or set the aliases again."
            ) from error

    def read_or_none(self, name: str) -> dict[str, int]:
        """Return the aliases; none where their file is damaged, which is then written anew."""
        try:
            return self.read(name)
        except ModelUnavailableError:
            return {}

    def move(self, name: str, alias: str, version: int) -> None:
        """Make an alias mean a version; the model must be locked."""
        self.write(name, {**self.read_or_none(name), alias: version})

    def write(self, name: str, aliases: dict[str, int]) -> None:
        """Write all aliases of a model, at once and durably; the model must be locked."""
        folder = self._root / name
        staged = folder / f".{_ALIASES_FILE}.{os.getpid()}"
        write_durably(staged, json.dumps(aliases, indent=1, sort_keys=True).encode())
        staged.replace(folder / _ALIASES_FILE)
        sync_folder(folder)
