"""Recognising what kind of source lies at a path, by its content."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from freezing.sources.checkpoint import open_checkpoint
from freezing.sources.graph_source import open_graph
from freezing.sources.keras_files import open_keras
from freezing.sources.saved_model import is_of_tensorflow_2, open_saved_model, read_saved_model
from freezing.sources.saved_model_v2 import open_saved_model_v2
from freezing.sources.source import Source
from worker.errors import SourceError
from worker.sources.checkpoint_files import is_checkpoint
from worker.sources.choice import ANY, SourceChoice
from worker.sources.contents import FileContent, sniff
from worker.sources.locate import Located, locate
from worker.sources.places import saved_model_file


class SourceKind(NamedTuple):
    """A kind of source."""

    recognises: Callable[[Path], bool]  # a folder, a file, or a checkpoint's prefix
    open: Callable[[Path, SourceChoice], Source]


def open_source(path: Path, choice: SourceChoice = ANY) -> Source:
    """Open what lies at `path`: a folder, a checkpoint prefix or one of its files.

    The kind is told from the content, and nothing of it is run. Raises `SourceError` with what is
    missing, damaged or not known, and the nearest names.
    """
    located = locate(path, choice)
    for kind in KINDS:
        if kind.recognises(located.model):
            source = kind.open(located.model, choice)
            source.warnings[:0] = located.warnings
            return _with_labels(source, located)
    raise SourceError(f"'{located.model.name}' is an archive, which is damaged or holds no model.")


def _with_labels(source: Source, located: Located) -> Source:
    """Return the source with the files of labels that lie beside it, unless it carries its own."""
    if source.labels is not None:
        return source
    return replace(source, label_files=located.label_files)


def _open_saved_model(path: Path, choice: SourceChoice) -> Source:
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
    return sniff(path) in (FileContent.HDF5, FileContent.KERAS_ZIP)


def _is_graph(path: Path) -> bool:
    return sniff(path) in (FileContent.GRAPH, FileContent.META_GRAPH)


# In this order: a folder or a file is what the first one takes it for.
KINDS = (
    SourceKind(_is_saved_model, _open_saved_model),
    SourceKind(_is_keras_file, open_keras),
    SourceKind(is_checkpoint, lambda path, _: open_checkpoint(path)),
    SourceKind(_is_graph, lambda path, _: open_graph(path)),
)
