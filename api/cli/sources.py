"""Which files of this machine make up a source that is to be frozen or inspected."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from api.cli.text import path_text
from worker.errors import InvalidRequestError

_PART = re.compile(r"(?P<prefix>.+)\.(meta|index|data-\d{5}-of-\d{5})\Z", re.DOTALL)
_POINTED_AT = re.compile(r'^model_checkpoint_path:\s*"(?P<path>.*)"', re.MULTILINE)
_POINTER = "checkpoint"  # the file in which TensorFlow notes the newest checkpoint of a folder
_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
_GRAPHS = (".pb", ".pbtxt")
# Files that are a model by themselves.
_SINGLE = (".pb", ".pbtxt", ".h5", ".hdf5", ".keras", ".zip", ".tar", ".tar.gz", ".tgz")
_OLD_SHARD = re.compile(r"(?P<prefix>.+)-\d{5}-of-\d{5}\Z", re.DOTALL)  # of the V1 format
_STEP = re.compile(r"-(\d+)\Z")
_NO_MODELS = ("variables", "assets", "assets.extra", "__MACOSX")  # parts of one, and leftovers
_DEEPEST = 3  # folders below the one that was named
_MOST_NAMED = 5  # choices that a message lists


def local_files(source: str) -> list[tuple[str, Path]] | None:
    """Return the files of a source with their names in it; None where nothing is here.

    `source` is a folder, a checkpoint's prefix, one file of a checkpoint, or a file that is a
    model by itself. Raises `InvalidRequestError` where it is here but its files cannot be told.
    """
    path = Path(source)
    if path.is_dir():
        return _of_folder(path)
    if path.is_file():
        return _of_file(path)
    found = _of_prefix(path)
    if not found and (source.startswith(("./", "../", "~")) or ".." in path.parts):
        raise InvalidRequestError(f"There is no file, folder or checkpoint {path_text(source)}.")
    return found or None


def _of_file(path: Path) -> list[tuple[str, Path]]:
    part = _PART.match(path.name)
    if part:
        return _of_prefix(path.with_name(part["prefix"]))
    if path.name == _POINTER or path.name in _SAVED_MODEL:
        return _of_folder(path.parent if path.parent.name else Path.cwd())
    shard = _OLD_SHARD.match(path.name)
    if shard and path.with_name(f"{shard['prefix']}.meta").is_file():
        return _of_prefix(path.with_name(shard["prefix"]))
    if path.with_name(f"{path.name}.meta").is_file():
        return _of_prefix(path)  # data of the old form, which has no suffix
    return [(path.name, path), *_values_beside(path)]


def _values_beside(graph: Path) -> list[tuple[str, Path]]:
    """Return the variables beside a graph's file, where no other file can be meant by them."""
    if graph.suffix not in _GRAPHS:
        return []
    children = [child for child in _children(graph.parent) if child.is_file()]
    if any(child.suffix == ".meta" for child in children):
        return []
    found = [child for child in children if _prefix_of(child) is not None]
    pointer = graph.with_name(_POINTER)
    return [
        (child.name, child) for child in (*found, *([pointer] if found else [])) if child.is_file()
    ]


def _of_prefix(prefix: Path) -> list[tuple[str, Path]]:
    """Return the files of one checkpoint; also the old form, whose data has no suffix."""
    try:
        beside = [child for child in _children(prefix.parent) if child.is_file()]
    except OSError:
        return []
    parts = [child for child in beside if _prefix_of(child) == prefix.name]
    if parts and not any(part.suffix == ".index" for part in parts):
        parts += [
            child
            for child in beside
            if child.name == prefix.name
            or ((shard := _OLD_SHARD.match(child.name)) and shard["prefix"] == prefix.name)
        ]
    return [(part.name, part) for part in parts]


def _of_folder(folder: Path) -> list[tuple[str, Path]]:
    try:
        children = _children(folder)
    except OSError as error:
        raise InvalidRequestError(
            f"The folder {path_text(str(folder))} cannot be read: {error.strerror}."
        ) from error
    if any(child.name in _SAVED_MODEL for child in children):
        return _tree(folder)
    prefix = _chosen_prefix(folder, children)
    if prefix is not None:
        return _checkpoint_in(folder, prefix, children)
    single = [child for child in children if child.name.lower().endswith(_SINGLE)]
    if len(single) == 1:
        return [(single[0].name, single[0])]
    inner = [] if single else _folders_with_models(folder, _DEEPEST)
    if len(inner) == 1:
        return _of_folder(inner[0])
    raise InvalidRequestError(
        f"The folder {path_text(str(folder))} holds "
        + (
            f"several models: name one of {_named(single or inner)}."
            if single or inner
            else "no model."
        )
    )


def _folders_with_models(folder: Path, deepest: int) -> list[Path]:
    """Return the folders inside that hold a model; of versions in numbered ones the latest."""
    found = []
    for child in _children(folder):
        if not child.is_dir() or child.name.startswith(".") or child.name in _NO_MODELS:
            continue
        names = [inside.name for inside in _children(child)]
        if any(
            name in _SAVED_MODEL or _PART.match(name) or name.lower().endswith(_SINGLE)
            for name in names
        ):
            found.append(child)
        elif deepest > 1:
            found += _folders_with_models(child, deepest - 1)
    if len(found) > 1 and all(child.name.isdigit() for child in found):
        return [max(found, key=lambda child: int(child.name))]
    return found


def _chosen_prefix(folder: Path, children: Iterable[Path]) -> str | None:
    """Return the checkpoint that a folder's pointer names, or its only one."""
    prefixes = {name for child in children if (name := _prefix_of(child)) is not None}
    pointed_at = _pointed_at(folder / _POINTER)
    if pointed_at in prefixes:
        return pointed_at
    steps = {prefix: int(step[1]) for prefix in prefixes if (step := _STEP.search(prefix))}
    if len(prefixes) > 1 and len(steps) == len(prefixes) and pointed_at is None:
        return max(steps, key=lambda prefix: steps[prefix])  # as the server would
    if len(prefixes) > 1:
        choices = sorted(folder / prefix for prefix in prefixes)
        raise InvalidRequestError(
            f"The folder {path_text(str(folder))} holds several checkpoints: "
            f"name one of {_named(choices)}."
        )
    return next(iter(prefixes), None)


def _checkpoint_in(folder: Path, prefix: str, children: Iterable[Path]) -> list[tuple[str, Path]]:
    files = _of_prefix(folder / prefix)
    if (folder / _POINTER).is_file():
        files.append((_POINTER, folder / _POINTER))
    if not any(name.endswith(".meta") for name, _ in files):
        graphs = [child for child in children if child.suffix in _GRAPHS]
        files += [(graph.name, graph) for graph in graphs]
    return files


def _pointed_at(pointer: Path) -> str | None:
    try:
        found = _POINTED_AT.search(pointer.read_text("utf-8", "surrogateescape"))
    except OSError:
        return None
    return Path(found["path"]).name if found else None


def _prefix_of(path: Path) -> str | None:
    part = _PART.match(path.name)
    return part["prefix"] if part else None


def _tree(folder: Path) -> list[tuple[str, Path]]:
    files = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file():
                files.append((path.relative_to(folder).as_posix(), path))
    return files


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _named(paths: Iterable[Path]) -> str:
    names = [path_text(str(path)) for path in paths]
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
