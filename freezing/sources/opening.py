"""Recognising what kind of source lies at a path."""

from pathlib import Path

from freezing.sources import checkpoint
from freezing.sources.source import ANY, Choice, Source
from worker.errors import SourceError

# What other kinds are recognised by, to say in one sentence that they cannot be frozen yet.
_FILES = {"saved_model.pb": "a SavedModel", "saved_model.pbtxt": "a SavedModel"}
_MAGIC = {b"\x89HDF\r\n\x1a\n": "a Keras HDF5 file", b"PK\x03\x04": "a Keras file or zip archive"}


def open_source(path: Path, choice: Choice = ANY) -> Source:
    """Open what lies at `path`: a folder, a checkpoint prefix or one of its files.

    The kind is told from the content, and nothing of it is run. Raises `SourceError` with what is
    missing, damaged or not known, and the nearest names.
    """
    if choice.checkpoint and path.is_dir():
        path /= choice.checkpoint
    if not checkpoint.recognises(path):
        other = _other_kind(path)
        if other is not None:
            raise SourceError(
                f"'{path.name}' is {other}, which cannot be frozen yet: give a TensorFlow 1 "
                "checkpoint (its .meta, .index and .data files)."
            )
    return checkpoint.open_checkpoint(path)


def _other_kind(path: Path) -> str | None:
    if path.is_dir():
        return next((kind for name, kind in _FILES.items() if (path / name).is_file()), None)
    if not path.is_file():
        return None
    if path.name in _FILES:
        return _FILES[path.name]
    with path.open("rb") as file:
        start = file.read(8)
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
