"""Where a checkpoint's files are: prefix, `.meta`, `.index` and every `.data-*` shard."""

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from worker.errors import SourceError

STATE_FILE = "checkpoint"  # names the latest checkpoint of its folder
_PART = re.compile(r"(?P<prefix>.+)\.(?:meta|index|data-(?P<shard>\d{5})-of-(?P<count>\d{5}))\Z")
_SHARD = re.compile(r"\.data-(\d{5})-of-(\d{5})\Z")
_PATH_IN_STATE = re.compile(r'^\s*model_checkpoint_path\s*:\s*(["\'])(.*)\1\s*$', re.MULTILINE)
_MOST_NAMES = 8
# The end of a table file: tensorflow/core/lib/io/format.h, kTableMagicNumber, little-endian.
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")


@dataclass(frozen=True, kw_only=True)
class CheckpointFiles:
    """The files of one checkpoint, all of which are there."""

    prefix: Path
    meta: Path
    index: Path
    data: tuple[Path, ...]
    warnings: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return (self.meta, self.index, *self.data)


def recognises(path: Path) -> bool:
    """Whether `path` is, or holds, some part of a checkpoint."""
    folder, prefix = _split(path)
    if prefix is not None:
        return bool(_parts(folder, prefix)) or _PART.match(path.name) is not None
    return folder.is_dir() and (bool(_prefixes(folder)) or _only_subfolder(folder) is not None)


def locate(path: Path) -> CheckpointFiles:
    """Find the checkpoint that `path` (a folder, a prefix or one of the files) means.

    Raises `SourceError` saying which file is missing in which folder, with what is there.
    """
    folder, prefix = _split(path)
    warnings: list[str] = []
    if not folder.is_dir():
        raise SourceError(f"There is no folder '{folder.name}' for the checkpoint '{path.name}'.")
    if prefix is None:
        if not _prefixes(folder) and not (folder / STATE_FILE).is_file():
            folder = _only_subfolder(folder) or folder
        prefix = _choose(folder, warnings)
    elif not _parts(folder, prefix):
        raise SourceError(
            f"There is no checkpoint '{prefix}' in folder '{folder.name}'."
            f"{_present(folder, prefix)}"
        )
    index = folder / f"{prefix}.index"
    if not index.is_file():
        if _is_old_format(folder / prefix):
            raise SourceError(
                f"'{prefix}' has no .index file: it seems to be in the old V1 format, which cannot "
                "be frozen yet. Restore it and save it again with a Saver of TensorFlow 1.0 or "
                "later."
            )
        raise _missing(folder, prefix, index.name)
    return CheckpointFiles(
        prefix=folder / prefix,
        meta=_meta(folder, prefix, warnings),
        index=index,
        data=_data(folder, prefix),
        warnings=tuple(warnings),
    )


def _split(path: Path) -> tuple[Path, str | None]:
    """Return the folder and the prefix that `path` names; None where the folder decides."""
    if path.is_dir():
        return path, None
    if path.name == STATE_FILE and path.is_file():
        return path.parent, None
    part = _PART.match(path.name)
    return path.parent, part["prefix"] if part else path.name.rstrip(".")


def _choose(folder: Path, warnings: list[str]) -> str:
    """Return the prefix that the folder's `checkpoint` file names, else the only or latest one."""
    prefixes = _prefixes(folder)
    state = folder / STATE_FILE
    if state.is_file():
        named = _named_by_state(state)
        if named in prefixes:
            return named
        if len(prefixes) == 1:
            if named:
                warnings.append(
                    f"The file 'checkpoint' names '{named}', which is not there; "
                    f"'{prefixes[0]}' was used."
                )
            return prefixes[0]
        raise SourceError(
            f"The file 'checkpoint' in folder '{folder.name}' names '{named}', which is not there."
            f"{_present(folder, named)}"
        )
    if not prefixes:
        raise SourceError(
            f"There is no checkpoint in folder '{folder.name}': no .meta, .index or .data file."
            f"{_present(folder, '')}"
        )
    if len(prefixes) > 1:
        latest = max(prefixes, key=lambda prefix: _age(folder, prefix))
        warnings.append(f"Of {len(prefixes)} checkpoints the latest, '{latest}', was used.")
        return latest
    return prefixes[0]


def _named_by_state(state: Path) -> str:
    """Return the base name of `model_checkpoint_path`.

    The path is of the machine that trained, and may be absolute or a Windows one.
    """
    try:
        found = _PATH_IN_STATE.search(state.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise SourceError(f"The file 'checkpoint' cannot be read: {error.strerror}.") from error
    return re.split(r"[/\\]+", found[2])[-1] if found else ""


def _age(folder: Path, prefix: str) -> tuple[int, float]:
    """Order checkpoints by their step number, then by time."""
    step = re.search(r"-(\d+)\Z", prefix)
    times = [part.stat().st_mtime for part in _parts(folder, prefix)]
    return int(step[1]) if step else -1, max(times, default=0.0)


def _prefixes(folder: Path) -> list[str]:
    """Return the prefixes in the folder that have an index; any part's where none has."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    with_index = [name.removesuffix(".index") for name in names if name.endswith(".index")]
    parts = [match["prefix"] for name in names if (match := _PART.match(name))]
    return with_index or list(dict.fromkeys(parts))


def _parts(folder: Path, prefix: str) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        entry
        for entry in sorted(folder.iterdir())
        if entry.is_file()
        and (
            ((match := _PART.match(entry.name)) is not None and match["prefix"] == prefix)
            or (entry.name == prefix and _is_old_format(entry))
        )
    ]


def _is_old_format(path: Path) -> bool:
    """Whether the file is a table, which V1 checkpoints are and other files without suffix not."""
    if not path.is_file() or path.stat().st_size < len(_TABLE_MAGIC):
        return False
    with path.open("rb") as file:
        file.seek(-len(_TABLE_MAGIC), os.SEEK_END)
        return file.read() == _TABLE_MAGIC


def _only_subfolder(folder: Path) -> Path | None:
    """Return the one folder inside that holds a checkpoint, as archives often have it."""
    if (folder / STATE_FILE).is_file():
        return None
    found = [sub for sub in sorted(folder.iterdir()) if sub.is_dir() and _prefixes(sub)]
    if len(found) > 1:
        names = ", ".join(sub.name for sub in found[:_MOST_NAMES])
        raise SourceError(f"Several folders hold checkpoints: {names}. Name one of them.")
    return found[0] if found else None


def _meta(folder: Path, prefix: str, warnings: list[str]) -> Path:
    meta = folder / f"{prefix}.meta"
    if meta.is_file():
        return meta
    others = [entry for entry in sorted(folder.iterdir()) if entry.suffix == ".meta"]
    if len(others) == 1:
        warnings.append(f"'{meta.name}' is missing; the graph of '{others[0].name}' was used.")
        return others[0]
    raise _missing(folder, prefix, meta.name)


def _data(folder: Path, prefix: str) -> tuple[Path, ...]:
    """Return every shard in order; the names of those there say how many there must be."""
    found: dict[int, list[str]] = {}
    for part in _parts(folder, prefix):
        shard = _SHARD.search(part.name)
        if shard is not None:
            found.setdefault(int(shard[2]), []).append(part.name)
    if not found:
        raise _missing(folder, prefix, f"{prefix}.data-00000-of-00001")
    count = max(found, key=lambda number: (len(found[number]), number))
    names = [f"{prefix}.data-{number:05d}-of-{count:05d}" for number in range(count)]
    for name in names:
        if name not in found[count]:
            raise _missing(folder, prefix, name)
    return tuple(folder / name for name in names)


def _missing(folder: Path, prefix: str, name: str) -> SourceError:
    parts = [part.name for part in _parts(folder, prefix)]
    there = f" There are: {', '.join(parts[:_MOST_NAMES])}." if parts else ""
    return SourceError(
        f"The checkpoint's file '{name}' is missing in folder '{folder.name}'."
        f"{there or _present(folder, name)}"
    )


def _present(folder: Path, name: str) -> str:
    """Return a sentence with the names in the folder that come nearest to `name`."""
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if not names:
        return " The folder is empty."
    close = difflib.get_close_matches(name, names, n=_MOST_NAMES, cutoff=0.4) if name else []
    shown = close or names[:_MOST_NAMES]
    more = len(names) - len(shown)
    return f" There {'is' if len(shown) == 1 else 'are'}: {', '.join(shown)}" + (
        f" and {more} more." if more and not close else "."
    )
