"""Where a checkpoint's files are: its data, in the V2 or the old V1 format, and its graph.

V2 (TensorFlow 0.12 on): `PREFIX.index` and `PREFIX.data-00000-of-00001`. V1: one file `PREFIX`, or
`PREFIX-00000-of-00002` and so on, recognised by their content. `PREFIX.meta` holds the graph; where
it is missing, another file that holds a graph with variables may take its place.
"""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from worker.errors import SourceError
from worker.sources.contents import FileContent, holds_variables, sniff
from worker.sources.listing import files_in
from worker.sources.texts import unescaped

STATE_FILE = "checkpoint"  # names the latest checkpoint of its folder
_PART = re.compile(r"(?P<prefix>.+)\.(?:meta|index|data-(?P<shard>\d{5})-of-(?P<count>\d{5}))\Z")
_SHARD = re.compile(r"\.data-(\d{5})-of-(\d{5})\Z")
_OLD_SHARD = re.compile(r"(?P<prefix>.+)-(?P<shard>\d{5}|\?{5})-of-(?P<count>\d{5})\Z")
_PATH_IN_STATE = re.compile(r'^\s*model_checkpoint_path\s*:\s*(["\'])(.*)\1\s*$', re.MULTILINE)
_SEPARATORS = re.compile(r"[/\\]+")
_OBJECTS = b"_CHECKPOINTABLE_OBJECT_GRAPH"  # the entry that only checkpoints of objects have
_MOST_NAMES = 8
_ANOTHER = "If another is meant, name it with `checkpoint` (--checkpoint)."


@dataclass(frozen=True, kw_only=True)
class CheckpointData:
    """The files that hold the variables, all of which are there."""

    prefix: Path
    index: Path | None  # None in the V1 format
    data: tuple[Path, ...]

    @property
    def pattern(self) -> str:
        """What TensorFlow's readers of the V1 format take."""
        name = self.data[0].name
        return str(self.data[0].with_name(_OLD_SHARD.sub(r"\g<prefix>-?????-of-\g<count>", name)))

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return (*((self.index,) if self.index else ()), *self.data)


@dataclass(frozen=True, kw_only=True)
class CheckpointFiles:
    """The files of one checkpoint, all of which are there."""

    values: CheckpointData
    graph: Path  # its .meta file, or what stands for it
    warnings: tuple[str, ...] = ()

    @property
    def prefix(self) -> Path:
        """The path that its files begin with."""
        return self.values.prefix

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return (self.graph, *self.values.all)


def is_checkpoint(path: Path) -> bool:
    """Whether `path` is a checkpoint's prefix or one of its files."""
    if path.is_dir():
        return False
    if path.name == STATE_FILE and sniff(path) is FileContent.STATE:
        return True
    folder, prefix = _split(path)
    return bool(prefix) and any(part.suffix != ".meta" for part in _parts(folder, prefix or ""))


def holds_checkpoint(folder: Path) -> bool:
    """Whether variables of a checkpoint lie in the folder."""
    return bool(_prefixes(folder))


def locate(path: Path) -> CheckpointFiles:
    """Find the checkpoint that `path` (a folder, a prefix or one of the files) means.

    Raises `SourceError` saying which file is missing in which folder, and which files are there.
    """
    warnings: list[str] = []
    values = locate_data(path, warnings)
    graph = _graph(values.prefix.parent, values.prefix.name, warnings)
    return CheckpointFiles(values=values, graph=graph, warnings=tuple(warnings))


def locate_data(path: Path, warnings: list[str]) -> CheckpointData:
    """Find the files with the variables of the checkpoint that `path` means, without its graph.

    Raises `SourceError` saying which file is missing in which folder, and which files are there.
    """
    folder, prefix = _split(path)
    if not folder.is_dir():
        raise SourceError(f"There is no folder '{folder.name}' for the checkpoint '{path.name}'.")
    if prefix is None:
        prefix = _choose(folder, warnings)
    elif not _parts(folder, prefix):
        raise SourceError(
            f"There is no checkpoint '{prefix}' in folder '{folder.name}'."
            f"{_present(folder, prefix)}"
        )
    index = folder / f"{prefix}.index"
    if index.is_file():
        return CheckpointData(prefix=folder / prefix, index=index, data=_data(folder, prefix))
    old = _old_data(folder, prefix)
    if not old:
        raise _missing(folder, prefix, index.name)
    return CheckpointData(prefix=folder / prefix, index=None, data=old)


def _split(path: Path) -> tuple[Path, str | None]:
    """Return the folder and the prefix that `path` names; None where the folder decides."""
    if path.is_dir():
        return path, None
    if path.name == STATE_FILE and path.is_file() and sniff(path) is not FileContent.TABLE:
        return path.parent, None
    part = _PART.match(path.name)
    if part is None and (not path.is_file() or sniff(path) is FileContent.TABLE):
        part = _OLD_SHARD.match(path.name)
    return path.parent, part["prefix"] if part else path.name.rstrip(".")


def _choose(folder: Path, warnings: list[str]) -> str:
    """Return the prefix that the folder's `checkpoint` file names, else the only or latest one."""
    prefixes = _prefixes(folder)
    state = folder / STATE_FILE
    if state.is_file() and sniff(state) is not FileContent.TABLE:
        named = _named_by_state(state, prefixes)
        if named in prefixes:
            return named
        if len(prefixes) == 1:
            if named:
                warnings.append(
                    f"The file 'checkpoint' names '{named}', which is not there; "
                    f"'{prefixes[0]}' was used. {_ANOTHER}"
                )
            return prefixes[0]
        if named:
            raise SourceError(
                f"The file 'checkpoint' in folder '{folder.name}' names '{named}', which is not "
                f"there.{_present(folder, named)}"
            )
    if not prefixes:
        raise SourceError(
            f"There is no checkpoint in folder '{folder.name}': no .index or .data file."
            f"{_present(folder, '')}"
        )
    if len(prefixes) > 1:
        latest = max(prefixes, key=lambda prefix: _age(folder, prefix))
        warnings.append(
            f"Of {len(prefixes)} checkpoints the latest, '{latest}', was used. {_ANOTHER}"
        )
        return latest
    return prefixes[0]


def _named_by_state(state: Path, prefixes: Collection[str]) -> str:
    """Return the base name of `model_checkpoint_path`.

    The path is of the machine that trained, and may be absolute or a Windows one.
    """
    try:
        text = state.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise SourceError(f"The file 'checkpoint' cannot be read: {error.strerror}.") from error
    found = _PATH_IN_STATE.search(text)
    if not found:
        return ""
    # As TensorFlow writes it, then as somebody who edited it may have.
    names = [
        _OLD_SHARD.sub(r"\g<prefix>", _SEPARATORS.split(path)[-1])
        for path in (unescaped(found[2]), found[2])
    ]
    return next((name for name in names if name in prefixes), names[0])


def _age(folder: Path, prefix: str) -> tuple[int, float]:
    """Order checkpoints by their step number, then by time."""
    step = re.search(r"-(\d+)\Z", prefix)
    times = [part.stat().st_mtime for part in _parts(folder, prefix)]
    return int(step[1]) if step else -1, max(times, default=0.0)


def _prefixes(folder: Path) -> list[str]:
    """Return the prefixes in the folder that have an index or old data; any data's where none."""
    files = files_in(folder)
    found = [file.name.removesuffix(".index") for file in files if file.name.endswith(".index")]
    found += [_old_prefix(file) for file in files if _is_old_data(file)]
    if not found:
        found = [_SHARD.sub("", file.name) for file in files if _SHARD.search(file.name)]
    return list(dict.fromkeys(found))


def _parts(folder: Path, prefix: str) -> list[Path]:
    return [
        entry
        for entry in _beside(folder, prefix)
        if ((match := _PART.match(entry.name)) is not None and match["prefix"] == prefix)
        or (_is_old_data(entry) and _old_prefix(entry) == prefix)
    ]


def _beside(folder: Path, prefix: str) -> list[Path]:
    """Return the files whose names begin with the prefix."""
    return [entry for entry in files_in(folder) if entry.name.startswith(prefix)]


def _is_old_data(path: Path) -> bool:
    """Whether the file holds a checkpoint's data in the V1 format."""
    return _PART.match(path.name) is None and sniff(path) is FileContent.TABLE


def _old_prefix(path: Path) -> str:
    shard = _OLD_SHARD.match(path.name)
    return shard["prefix"] if shard else path.name


def _graph(folder: Path, prefix: str, warnings: list[str]) -> Path:
    """Return the file with the checkpoint's graph."""
    meta = folder / f"{prefix}.meta"
    if meta.is_file():
        return meta
    entries = files_in(folder)
    for found in (
        [entry for entry in entries if entry.suffix == ".meta"],
        [entry for entry in entries if holds_variables(entry)],
    ):
        if len(found) == 1:
            warnings.append(
                f"'{meta.name}' is missing; the graph of '{found[0].name}' was used. If it is not "
                "the checkpoint's, put the right one beside it under that name."
            )
            return found[0]
        if found:
            names = ", ".join(entry.name for entry in found[:_MOST_NAMES])
            raise SourceError(
                f"'{meta.name}' is missing in folder '{folder.name}', and several files may hold "
                f"the graph: {names}. Name one with `checkpoint` (--checkpoint)."
            )
    if (folder.name, prefix) == ("variables", "variables"):
        raise SourceError(
            "'variables' holds the variables of a SavedModel and not its graph: give the folder "
            "that it lies in, with saved_model.pb."
        )
    index = folder / f"{prefix}.index"
    if index.is_file() and _OBJECTS in index.read_bytes():
        raise SourceError(
            f"'{prefix}' is a checkpoint of TensorFlow 2, which holds variables and no graph: save "
            "the model itself, with model.save(...) or tf.saved_model.save(...)."
        )
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


def _old_data(folder: Path, prefix: str) -> tuple[Path, ...]:
    """Return the file or the shards of a checkpoint in the V1 format; none where it is not one."""
    whole = folder / prefix
    if whole.is_file() and _is_old_data(whole):
        return (whole,)
    found = [part for part in _parts(folder, prefix) if _is_old_data(part)]
    shards = [match for part in found if (match := _OLD_SHARD.match(part.name))]
    if not shards:
        return ()
    count = max(int(shard["count"]) for shard in shards)
    names = [f"{prefix}-{number:05d}-of-{count:05d}" for number in range(count)]
    for name in names:
        if not (folder / name).is_file():
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
