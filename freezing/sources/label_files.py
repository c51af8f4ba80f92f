"""Labels in files that come with a model: `labels.txt`, `class_names.json` and the like."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from worker.errors import InvalidRequestError
from worker.models.labels import parse_labels

_NAME = re.compile(
    r"(\A|.*[_\-. ])(labels?|classes|class[_\-]?(names?|labels?|list|indices|index)|categories"
    r"|synset(_words|_labels)?)([_\-.]\w+)?\.(txt|json)\Z",
    re.IGNORECASE,
)
_PLACES = ("assets", "assets.extra", "")  # in the folder of a model, the surest first
_MOST_FILES = 1000
_MOST_BYTES = 4 * 2**20


def labels_beside(folder: Path) -> tuple[list[str], str] | None:
    """Return the labels that lie in a model's folder or among its assets, and the file's name.

    None where there is no such file, or several.
    """
    for place in _PLACES:
        found = [
            (labels, file.name)
            for file in _files(folder / place)
            if (labels := _read(file)) is not None
        ]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def as_labels(value: Any) -> list[str] | None:
    """Return a JSON value as labels: a list, or a dictionary with numbers on one side."""
    if isinstance(value, dict) and value:
        if all(type(one) is int for one in value.values()):
            value = sorted(value, key=value.__getitem__)
        elif all(str(key).isdigit() for key in value):
            # As ImageNet's, with an identifier before the name.
            value = [_last(value[key]) for key in sorted(value, key=int)]
    if isinstance(value, list) and value and all(isinstance(one, str) and one for one in value):
        return value
    return None


def _files(folder: Path) -> Sequence[Path]:
    if not folder.is_dir():
        return ()
    try:
        entries = sorted(folder.iterdir())[:_MOST_FILES]
    except OSError:  # not ours to read
        return ()
    return [
        entry
        for entry in entries
        if _NAME.match(entry.name) and entry.is_file() and entry.stat().st_size <= _MOST_BYTES
    ]


def _read(file: Path) -> list[str] | None:
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() == ".json":
            return as_labels(json.loads(text))
        return parse_labels(text, file.name)
    except (OSError, ValueError, RecursionError, InvalidRequestError):
        return None  # it may be anything; labels can be given


def _last(value: Any) -> Any:
    return value[-1] if isinstance(value, list) and value else value
