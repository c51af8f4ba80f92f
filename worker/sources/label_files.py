"""Label files beside a model."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.errors import InvalidRequestError
from worker.models.label_forms import LABEL_KEYS, labels_in_csv, labels_in_json
from worker.models.labels import parse_labels
from worker.sources.architecture import read_json
from worker.sources.contents import MODELS, sniff
from worker.sources.listing import files_in

_MOST_FILES = 1000  # of a folder that are examined
MOST_FOUND = 20
MOST_BYTES = 4 * 2**20
_ASSETS = ("assets", "assets.extra")  # folders of a SavedModel; Keras 3 keeps `assets` too
_SUFFIXES = frozenset({".txt", ".json", ".csv", ".tsv", ".pbtxt", ".names"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
# Words of names of files that are kept for labels, and of files that also hold labels.
_FOR_LABELS = frozenset(
    {"label", "labels", "labelmap", "class", "classes", "classname", "classnames", "categories"}
    | {"category", "synset", "synsets", "indices", "names", "classindices", "classindex"}
)
_ABOUT_THE_MODEL = frozenset({"metadata", "meta", "info", "config", "model"})
_SEPARATORS = "_-. "


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """A file with labels in it."""

    path: Path
    labels: tuple[str, ...]
    is_named_so: bool  # whether its name says that it holds labels


def label_files(folder: Path, model: str, reach: Sequence[Path] | None = None) -> list[LabelFile]:
    """Return the files with labels in a model's folder and among its assets.

    `model` is what the model is called, without suffix: files that are called like another model
    of the folder belong to that. A file counts by its content: what gives each class one name.
    Nothing outside of `reach` is read, where that is given.
    """
    found: list[LabelFile] = []
    for place in (*(folder / name for name in _ASSETS), folder):
        files = _within(place, reach)[:_MOST_FILES]
        for file in files:
            one = _read(file)
            if one is not None and not _is_of_another(file, model, files):
                found.append(one)
    return found[:MOST_FOUND]


def those_that_fit(files: Iterable[LabelFile], classes: int) -> list[LabelFile]:
    """Return the files with a label for each class, those that are named so before all others.

    One output may tell two classes apart.
    """
    fitting = [
        one for one in files if len(one.labels) == classes or (classes, len(one.labels)) == (1, 2)
    ]
    named = [one for one in fitting if one.is_named_so]
    return named or fitting


def may_hold_labels(file: Path) -> bool:
    """Whether labels are looked for in a file of this name."""
    return file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")


def _within(folder: Path, reach: Sequence[Path] | None) -> list[Path]:
    if reach is None or any(folder.resolve().is_relative_to(one) for one in reach):
        return files_in(folder)
    return sorted(one for one in reach if one.parent == folder.resolve() and one.is_file())


def _read(file: Path) -> LabelFile | None:
    suffix = file.suffix.lower()
    if not may_hold_labels(file):
        return None
    words = {word.lower() for word in _WORD.findall(file.stem)}
    named = bool(words & _FOR_LABELS) or suffix == ".names"
    try:
        if file.stat().st_size > MOST_BYTES:
            return None
        labels = _labels(file, suffix, words, named=named)
    except (OSError, ValueError, InvalidRequestError):
        return None  # it may be anything; labels can be given
    if not labels or "" in labels:
        return None
    return LabelFile(path=file, labels=tuple(labels), is_named_so=named)


def _labels(file: Path, suffix: str, words: set[str], *, named: bool) -> list[str] | None:
    if suffix == ".json":
        value = read_json(file, MOST_BYTES)
        if isinstance(value, dict) and set(value) & set(LABEL_KEYS):
            # What else is in it stays where it is, unless the file is about the model.
            return labels_in_json(value) if named or words & _ABOUT_THE_MODEL else None
        return labels_in_json(value) if named or isinstance(value, dict) else None
    text = file.read_text(encoding="utf-8-sig")
    if suffix == ".pbtxt":
        return parse_labels(text, file.name) if text.lstrip().startswith("item") else None
    if not named:
        return None
    if suffix in (".csv", ".tsv"):
        return labels_in_csv(text)
    labels = parse_labels(text, file.name)
    if len(labels) == 1 and "," in labels[0]:  # all in one line
        labels = [label.strip() for label in labels[0].split(",")]
    return labels


def _is_of_another(file: Path, model: str, beside: Iterable[Path]) -> bool:
    """Whether the file is called after another model that lies beside it."""
    if _begins(file.stem, model):
        return False
    return any(
        _begins(file.stem, other.stem) and other != file and sniff(other) in MODELS
        for other in beside
    )


def _begins(name: str, stem: str) -> bool:
    return bool(stem) and name.startswith(stem) and name[len(stem) : len(stem) + 1] in _SEPARATORS
