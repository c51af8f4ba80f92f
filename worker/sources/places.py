"""Finding the model in a folder.

Archives wrap models in folders, TensorFlow Serving keeps versions in numbered ones, and beside a
model lie logs, labels and photographs.
"""

from collections.abc import Iterable
from pathlib import Path

from worker.errors import SourceError
from worker.sources.architecture import (
    architecture_beside,
    describes_layers,
    read_json,
    weights_beside,
)
from worker.sources.checkpoint_files import holds_checkpoint, is_checkpoint
from worker.sources.contents import MODELS, FileContent, holds_keras_model, sniff
from worker.sources.foreign import foreign
from worker.sources.listing import entries_in, files_in, folders_in

SAVED_MODEL_NAMES = ("saved_model.pb", "saved_model.pbtxt")

_DEEPEST = 6  # folders below the one that was named
_MOST_LOOKED_AT = 2000  # files of one folder
_MOST_NAMES = 8
# What holds parts of a model and no model of its own.
_PARTS = frozenset({"variables", "assets", "assets.extra", "keras_metadata"})


def saved_model_file(path: Path) -> Path | None:
    """Return the SavedModel file that `path`, a folder or a file, means; None where it is none."""
    if path.is_dir():
        files = [path / name for name in SAVED_MODEL_NAMES]
        return next((file for file in files if file.is_file()), None)
    if path.name in SAVED_MODEL_NAMES and path.is_file():
        return path
    return path if sniff(path) is FileContent.SAVED_MODEL else None


def find_model(path: Path, checkpoint: str | None = None) -> tuple[Path, list[str]]:
    """Return the folder, prefix or file that `path` means, and warnings about what was passed over.

    `checkpoint` names the one that is meant where a folder holds several. Of the layers of a Keras
    model the weights beside them are returned; what else is no folder is returned as it is. Raises
    `SourceError` where a folder holds nothing that is known, or several things.
    """
    warnings: list[str] = []
    if path.is_dir() and checkpoint:
        return _named(path, checkpoint), warnings
    if path.is_dir():
        found = _inside(path, warnings, _DEEPEST) or _only_archive(path)
        if found is None:
            raise _no_model(path)
        return found, warnings
    if path.is_file() and sniff(path) is FileContent.UNKNOWN and describes_layers(read_json(path)):
        weights = weights_beside(path)
        if len(weights) > 1:
            raise SourceError(
                f"'{path.name}' holds the layers of a Keras model, and several files beside it "
                f"hold weights: {_list(weights)}. Name the weights that are meant."
            )
        return (weights[0] if weights else path), warnings
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
            "is meant, or say it with `checkpoint` (--checkpoint)."
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
            "meant, or say it with `checkpoint` (--checkpoint)."
        )
    return next(iter(found.values()), None)


def _model_files(folder: Path) -> list[Path]:
    """Return the files in the folder that hold a model, recognised by their content.

    Weights of a Keras model without its layers are none where another file is a whole one.
    """
    seen = [file for file in files_in(folder) if not file.name.startswith(".")]
    files = [file for file in seen[:_MOST_LOOKED_AT] if sniff(file) in MODELS]
    if len(files) < 2:
        return files
    return [file for file in files if not _is_weights_alone(file)] or files


def _is_weights_alone(file: Path) -> bool:
    if sniff(file) is not FileContent.HDF5 or holds_keras_model(file):
        return False
    return architecture_beside(file) is None


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in folders_in(folder) if entry.name not in _PARTS]


def _only_archive(folder: Path) -> Path | None:
    """Return the one archive or compressed file of the folder, in which the model may be."""
    packed = (FileContent.ARCHIVE, FileContent.COMPRESSED)
    found = [file for file in files_in(folder) if sniff(file) in packed and foreign(file) is None]
    return found[0] if len(found) == 1 else None


def _no_model(folder: Path) -> SourceError:
    """Return the refusal of a folder, with what lies there instead of a model."""
    for file in _files_below(folder):
        kind = foreign(file)
        if kind is not None and kind.is_model:
            return SourceError(
                f"There is no model in the folder '{folder.name}' that can be frozen: "
                f"'{file.name}' is {kind.what}; {kind.advice}."
            )
    return SourceError(
        f"There is no model in the folder '{folder.name}': no checkpoint, SavedModel, Keras "
        f"file or graph.{_present(folder)}"
    )


def _files_below(folder: Path) -> list[Path]:
    """Return the files of the folder and of those in it, the nearest first."""
    found: list[Path] = []
    waiting = [(folder, 0)]
    for here, depth in waiting:  # which grows meanwhile
        found += [file for file in files_in(here) if not file.name.startswith(".")]
        if len(found) > _MOST_LOOKED_AT:
            break
        waiting += [(sub, depth + 1) for sub in folders_in(here) if depth < _DEEPEST]
    return [file for file in found[:_MOST_LOOKED_AT] if sniff(file) not in MODELS]


def _present(folder: Path) -> str:
    names = sorted(
        entry.name + ("/" if entry.is_dir() else "")
        for entry in entries_in(folder)
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
