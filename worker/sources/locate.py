"""The locator of sources: finds all files of a source from any path that a person may give.

The command line sends what is found here, a job opens it where it lies.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from worker.errors import SourceError
from worker.sources import checkpoint_files
from worker.sources.architecture import architecture_beside
from worker.sources.checkpoint_files import STATE_FILE, holds_checkpoint, is_checkpoint
from worker.sources.choice import ANY, SourceChoice
from worker.sources.contents import FileContent, holds_keras_model, holds_variables, sniff
from worker.sources.foreign import misfetched, refusal
from worker.sources.label_files import LabelFile, label_files
from worker.sources.places import find_model, saved_model_file

_MOST_STATE_BYTES = 2**20
_MOST_FILES = 10_000  # of a SavedModel's folders
_VARIABLES = "variables"
_FOLDERS = (_VARIABLES, "assets", "assets.extra")  # of a SavedModel
# The parts of a `.keras` file that was unpacked to a folder.
_KERAS_CONFIG, _KERAS_WEIGHTS = "config.json", "model.weights.h5"
_KERAS_PARTS = (_KERAS_CONFIG, "metadata.json")
# What Keras 2 and TensorFlow write beside the graph of a SavedModel.
_ABOUT_SAVED_MODEL = frozenset({"keras_metadata.pb", "fingerprint.pb"})


@dataclass(frozen=True, kw_only=True)
class Located:
    """A source: what is opened, and all that belongs to it."""

    given: Path  # what was asked for: the model, or a folder around it
    model: Path  # a SavedModel's folder, a file, or a checkpoint's prefix
    files: tuple[Path, ...]  # that it is made of
    label_files: tuple[LabelFile, ...]  # beside it; which of them fit, its classes tell
    warnings: tuple[str, ...] = ()  # about what was passed over

    def named(self) -> list[tuple[str, Path]]:
        """Return all files with the names under which they are to each other what they are here."""
        around = self.given != self.model and self.model.is_relative_to(self.given)
        base = self.given if around else self.model.parent
        paths = dict.fromkeys([*self.files, *(one.path for one in self.label_files)])
        return [(path.relative_to(base).as_posix(), path) for path in paths]


def locate(path: Path, choice: SourceChoice = ANY) -> Located:
    """Return the source that `path` means: a folder, a file or a checkpoint's prefix.

    Raises `SourceError` where it is no model, or not whole, saying what it is and what to do.
    """
    # Not resolved: what a link leads to may have another name, and other things beside it.
    given = Path(os.path.abspath(path))  # noqa: PTH100 - see above; `absolute` would keep `..`
    found, warnings = find_model(given, choice.checkpoint)
    stored = saved_model_file(found)
    if stored is not None:
        model, files = stored.parent, _of_saved_model(stored)
    elif found.name in _ABOUT_SAVED_MODEL and saved_model_file(found.parent) is not None:
        raise SourceError(
            f"'{found.name}' tells about a SavedModel and holds no graph: give the folder that it "
            "lies in, with saved_model.pb."
        )
    elif sniff(found) in (FileContent.HDF5, FileContent.KERAS_ZIP):
        model, files = found, _of_keras(found)
    elif found.is_dir() or is_checkpoint(found):
        model, files = _of_checkpoint(found, warnings)
    elif sniff(found) in (FileContent.GRAPH, FileContent.META_GRAPH):
        model, files = found, _of_graph(found)
    else:
        model, files = _of_archive(found)
    for file in files:
        if (wrong := misfetched(file)) is not None:
            raise wrong
    folders = [model, model.parent] if stored is not None else [model.parent]
    folders = list(dict.fromkeys([*folders, *([given] if given.is_dir() else [])]))
    called = model.stem if model.is_file() else model.name
    beside = [one for folder in folders for one in label_files(folder, called, choice.reach)]
    return Located(
        given=given,
        model=model,
        files=tuple(dict.fromkeys(files)),
        label_files=tuple(beside),
        warnings=tuple(warnings),
    )


def variables_prefix(stored: Path) -> Path | None:
    """Return the prefix of the files with a SavedModel's variables, if it has some.

    They belong into a folder `variables`, which an upload by names without folders loses.
    """
    flat = stored.parent / _VARIABLES
    if flat.is_dir():
        return flat / _VARIABLES
    return flat if flat.with_suffix(".index").is_file() else None


def _of_saved_model(stored: Path) -> list[Path]:
    folder = stored.parent
    files = [stored]
    prefix = variables_prefix(stored)
    if holds_variables(stored):
        index = (prefix or folder / _VARIABLES / _VARIABLES).with_suffix(".index")
        if not index.is_file():
            raise SourceError(
                f"'{index.relative_to(folder)}' is missing in the folder '{folder.name}': the "
                f"SavedModel keeps its variables there, in the folder '{_VARIABLES}'. Give the "
                "folder with all that is in it."
            )
        if prefix is not None:
            files += checkpoint_files.locate_data(prefix, []).all
    for name in _FOLDERS:
        files += [file for file in sorted((folder / name).rglob("*")) if file.is_file()]
    return files[:_MOST_FILES]


def _of_keras(file: Path) -> list[Path]:
    if sniff(file) is FileContent.KERAS_ZIP or holds_keras_model(file):
        return [file]
    if file.name == _KERAS_WEIGHTS and file.with_name(_KERAS_CONFIG).is_file():
        parts = [file.with_name(name) for name in _KERAS_PARTS]
        assets = sorted(file.with_name("assets").rglob("*"))
        return [file, *(one for one in (*parts, *assets[:_MOST_FILES]) if one.is_file())]
    layers = architecture_beside(file)
    return [file] if layers is None else [layers, file]


def _of_checkpoint(path: Path, warnings: list[str]) -> tuple[Path, list[Path]]:
    found = checkpoint_files.locate(path)
    warnings += found.warnings
    named = path.is_dir() or path.name == STATE_FILE
    return found.prefix, [*found.all, *(_state_beside(found.prefix) if named else [])]


def _of_graph(file: Path) -> list[Path]:
    if not (holds_variables(file) and holds_checkpoint(file.parent)):
        return [file]
    values = checkpoint_files.locate_data(file.parent, [])
    return [file, *values.all, *_state_beside(file)]


def _of_archive(file: Path) -> tuple[Path, list[Path]]:
    """Return an archive or compressed file; raise what says that it is neither that nor a model."""
    if not file.exists():
        checkpoint_files.locate(file)  # says what is missing, with the nearest names
    wrong = refusal(file)
    if wrong is not None:
        raise wrong
    if sniff(file) in (FileContent.ARCHIVE, FileContent.COMPRESSED):
        return file, [file]
    raise SourceError(
        f"'{file.name}' is no model that is known: no checkpoint, SavedModel, Keras file or graph."
    )


def _state_beside(path: Path) -> list[Path]:
    state = path.with_name(STATE_FILE)
    if sniff(state) is FileContent.STATE and state.stat().st_size <= _MOST_STATE_BYTES:
        return [state]
    return []
