"""Recognising what kind of source lies at a path, by its content."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from freezing.sources.checkpoint import open_checkpoint
from freezing.sources.checkpoint_files import holds_checkpoint, is_checkpoint
from freezing.sources.contents import FOREIGN, Content, sniff
from freezing.sources.graph import open_graph
from freezing.sources.keras_files import open_keras
from freezing.sources.label_files import labels_beside
from freezing.sources.places import ANY, Choice, find_model
from freezing.sources.saved_model import (
    is_of_tensorflow_2,
    open_saved_model,
    read_saved_model,
    saved_model_file,
)
from freezing.sources.saved_model_v2 import open_saved_model_v2
from freezing.sources.source import Source
from worker.errors import SourceError


class Kind(NamedTuple):
    """A kind of source."""

    recognises: Callable[[Path], bool]  # a folder, a file, or a checkpoint's prefix
    open: Callable[[Path, Choice], Source]


def open_source(path: Path, choice: Choice = ANY) -> Source:
    """Open what lies at `path`: a folder, a checkpoint prefix or one of its files.

    The kind is told from the content, and nothing of it is run. Raises `SourceError` with what is
    missing, damaged or not known, and the nearest names.
    """
    found, warnings = find_model(path, choice)
    for kind in KINDS:
        if kind.recognises(found):
            source = kind.open(found, choice)
            source.warnings[:0] = warnings
            return _with_labels(source, path)
    if not found.exists():
        return open_checkpoint(found)  # says what is missing, with the nearest names
    if sniff(found) is Content.ARCHIVE:
        raise SourceError(f"'{found.name}' is an archive, which is damaged or holds no model.")
    if found.is_file() and found.stat().st_size == 0:
        raise SourceError(f"'{found.name}' is empty.")
    content = sniff(found)
    if content in FOREIGN:
        raise SourceError(
            f"'{found.name}' is {content.value}: give what it was converted from, a checkpoint, a "
            "SavedModel, a Keras file or a graph."
        )
    raise SourceError(
        f"'{found.name}' is no model that is known: no checkpoint, SavedModel, Keras file or graph."
    )


def _with_labels(source: Source, path: Path) -> Source:
    """Return the source with the labels that lie beside it, where it carries none itself.

    `path` is what was given, a folder around the model perhaps.
    """
    if source.labels is not None:
        return source
    folders = dict.fromkeys([source.files[0].parent, *([path] if path.is_dir() else [])])
    beside = next((one for folder in folders if (one := labels_beside(folder))), None)
    if beside is None:
        return source
    labels, name = beside
    source.warnings.append(
        f"Labels were found beside the model, in '{name}'. If others are meant, give them with "
        "`labels` (--labels)."
    )
    return replace(source, labels=labels)


def _open_saved_model(path: Path, choice: Choice) -> Source:
    file = saved_model_file(path)
    if file is None:
        raise SourceError(f"'{path.name}' is no SavedModel.")
    message = read_saved_model(file)
    if is_of_tensorflow_2(message):
        return open_saved_model_v2(file, message, choice)
    return open_saved_model(file, message, choice)


def _is_saved_model(path: Path) -> bool:
    return saved_model_file(path) is not None


def _is_keras_file(path: Path) -> bool:
    return sniff(path) in (Content.HDF5, Content.KERAS_ZIP)


def _is_graph(path: Path) -> bool:
    return sniff(path) in (Content.GRAPH, Content.META_GRAPH)


def _is_checkpoint(path: Path) -> bool:
    return holds_checkpoint(path) if path.is_dir() else is_checkpoint(path)


# In this order: a folder or a file is what the first one takes it for.
KINDS = (
    Kind(_is_saved_model, _open_saved_model),
    Kind(_is_keras_file, open_keras),
    Kind(_is_checkpoint, lambda path, _: open_checkpoint(path)),
    Kind(_is_graph, lambda path, _: open_graph(path)),
)
