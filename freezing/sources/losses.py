"""The loss that a Keras model was trained with, where its file says so."""

import json
from pathlib import Path
from typing import Any

from freezing.sources.source import Loss

_METADATA = "keras_metadata.pb"  # beside a SavedModel of Keras 2: JSON in a protocol buffer
_MOST_BYTES = 64 * 2**20
_MARK = '"training_config": '
_LONGEST_NAME = 100


def loss_in(training: Any) -> Loss | None:
    """Return the one loss of what a Keras file says of its training; None where it says none.

    Keras writes a name, or a class with its configuration, or either for each output.
    """
    loss = training.get("loss") if isinstance(training, dict) else None
    while isinstance(loss, list | dict) and "class_name" not in loss and len(loss) == 1:
        loss = loss[0] if isinstance(loss, list) else next(iter(loss.values()))
    config: Any = {}
    if isinstance(loss, dict):
        config, loss = loss.get("config"), loss.get("class_name")
        if loss == "function" and isinstance(config, str):
            loss = config
    if not isinstance(loss, str) or not loss.isprintable() or len(loss) > _LONGEST_NAME:
        return None
    return Loss(name=loss)


def loss_in_text(text: str | None) -> Loss | None:
    """Return the loss of a training configuration as JSON."""
    try:
        return loss_in(json.loads(text or "null"))
    except (ValueError, RecursionError):
        return None


def loss_of_saved_model(folder: Path) -> Loss | None:
    """Return the loss that Keras 2 noted beside a SavedModel."""
    file = folder / _METADATA
    try:
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return None
        text = file.read_bytes().decode("utf-8", "replace")
        _, found, rest = text.partition(_MARK)
        return loss_in(json.JSONDecoder().raw_decode(rest)[0]) if found else None
    except (OSError, ValueError, RecursionError):
        return None
