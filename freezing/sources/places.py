"""Where in a folder the model lies. Imports no TensorFlow.

Archives wrap models in folders, TensorFlow Serving keeps versions in numbered ones, and beside a
model lie logs, labels and photographs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from freezing.sources.checkpoint_files import holds_checkpoint, is_checkpoint
from freezing.sources.contents import FOREIGN, Content, sniff
from worker.errors import SourceError

SAVED_MODEL_NAMES = ("saved_model.pb", "saved_model.pbtxt")

_MODEL_FILES = frozenset(
    {
        Content.SAVED_MODEL,
        Content.META_GRAPH,
        Content.GRAPH,
        Content.HDF5,
        Content.KERAS_ZIP,
        Content.TABLE,
        *FOREIGN,
    }
)
_DEEPEST = 6  # folders below the one that was named
_MOST_LOOKED_AT = 2000  # files of one folder
_MOST_NAMES = 8
# What holds parts of a model and no model of its own, or belongs to who packed the archive.
_PARTS = frozenset({"variables", "assets", "assets.extra", "__MACOSX", "keras_metadata"})


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which part of a source is meant, where it holds several."""

    signature: str | None = None  # of a SavedModel
    checkpoint: str | None = None  # the prefix of a checkpoint, or the name of a model file
    allow_code: bool = False  # whether a Keras file may bring code of its own


ANY = Choice()  # nothing in particular is meant


def find_model(path: Path, choice: Choice) -> tuple[Path, list[str]]:
    """Return the folder, prefix or file that `path` means, and warnings about what was passed over.

    What is no folder is returned as it is. Raises `SourceError` where a folder holds nothing that
    is known, or several things.
    """
    warnings: list[str] = []
    if path.is_dir() and choice.checkpoint:
        return _named(path, choice.checkpoint), warnings
    if path.is_dir():
        found = _inside(path, warnings, _DEEPEST)
        if found is None:
            raise SourceError(
                f"There is no model in the folder '{path.name}': no checkpoint, SavedModel, Keras "
                f"file or graph.{_present(path)}"
            )
        return found, warnings
    return path, warnings


def _named(folder: Path, name: str) -> Path:
    """Return what is called `name` in the folder, or in the only one inside it."""
    look = folder
    for _ in range(_DEEPEST):
        path = look / name
        if path.exists() or is_checkpoint(path):
            if path.is_dir():
                return _inside(path, [], _DEEPEST) or path
            return path
        folders = _folders(look)
        if len(folders) != 1:
            break
        look = folders[0]
    raise SourceError(f"There is no '{name}' in the folder '{folder.name}'.{_present(look)}")


def _inside(folder: Path, warnings: list[str], deepest: int) -> Path | None:
    """Return what the folder, or a folder in it, holds: itself, a file, or None."""
    if any((folder / name).is_file() for name in SAVED_MODEL_NAMES) or holds_checkpoint(folder):
        return folder
    files = _model_files(folder)
    if len(files) > 1:
        raise SourceError(
            f"The folder '{folder.name}' holds several models: {_list(files)}. Name the one that "
            "is meant with `checkpoint` (--checkpoint)."
        )
    if files:
        return files[0]
    if deepest == 0:
        return None
    found = {
        sub: inner
        for sub in _folders(folder)
        if (inner := _inside(sub, warnings, deepest - 1)) is not None
    }
    if len(found) > 1 and all(sub.name.isdigit() for sub in found):
        latest = max(found, key=lambda sub: int(sub.name))
        warnings.append(
            f"Of {len(found)} versions in folders the latest, {latest.name}, was used. If another "
            "is meant, name its folder as the source."
        )
        return found[latest]
    if len(found) > 1:
        raise SourceError(
            f"Several folders in '{folder.name}' hold models: {_list(found)}. Name the one that is "
            "meant with `checkpoint` (--checkpoint)."
        )
    return next(iter(found.values()), None)


def _model_files(folder: Path) -> list[Path]:
    """Return the files in the folder that hold a model, told by their content."""
    files = [entry for entry in sorted(folder.iterdir()) if entry.is_file()]
    return [
        file
        for file in files[:_MOST_LOOKED_AT]
        if not file.name.startswith(".") and sniff(file) in _MODEL_FILES
    ]


def _folders(folder: Path) -> list[Path]:
    return [
        entry
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in _PARTS
    ]


def _present(folder: Path) -> str:
    names = sorted(
        entry.name + ("/" if entry.is_dir() else "")
        for entry in folder.iterdir()
        if not entry.name.startswith(".")
    )
    if not names:
        return " It is empty."
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f" In it: {shown}" + (f" and {more} more." if more > 0 else ".")


def _list(paths: Iterable[Path]) -> str:
    names = [path.name for path in paths]
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
