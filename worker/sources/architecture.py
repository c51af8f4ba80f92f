"""The layers of a Keras model in a file of JSON, as `model.to_json()` gives it, beside weights."""

import json
from pathlib import Path
from typing import Any

from worker.errors import SourceError
from worker.sources.contents import FileContent, holds_keras_model, sniff
from worker.sources.listing import files_in

_MOST_FILES = 20  # that are examined beside weights
_MOST_BYTES = 16 * 2**20


def read_json(path: Path, most_bytes: int = _MOST_BYTES) -> Any:
    """Return a file's JSON; None where it is none, too large or not to be read."""
    try:
        if path.stat().st_size > most_bytes:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def describes_layers(value: Any) -> bool:
    """Whether a JSON value is the configuration of a Keras model."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config"), dict | list)
    )


def architecture_beside(weights: Path) -> Path | None:
    """Return the one JSON file beside weights that holds a model's layers; None where none does.

    Of several it is the one that is called like the weights. Raises `SourceError` where that
    leaves it open.
    """
    beside = [file for file in files_in(weights.parent) if file.suffix.lower() == ".json"]
    found = [file for file in beside[:_MOST_FILES] if describes_layers(read_json(file))]
    if len(found) > 1:
        alike = [file for file in found if weights.name.startswith(file.stem.partition(".")[0])]
        longest = max((len(file.stem) for file in alike), default=0)
        found = [file for file in alike if len(file.stem) == longest] or found
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise SourceError(
            f"'{weights.name}' holds only weights, and several files beside it hold layers: "
            f"{names}. Put the weights into a folder of their own with the one that is theirs."
        )
    return found[0] if found else None


def weights_beside(architecture: Path) -> list[Path]:
    """Return the HDF5 files beside an architecture's file that hold only weights and fit to it."""
    return [
        file
        for file in files_in(architecture.parent)
        if sniff(file) is FileContent.HDF5
        and not holds_keras_model(file)
        and architecture_beside(file) == architecture
    ]
