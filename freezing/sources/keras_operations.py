"""Operations of Keras 3 in its HDF5 files, such as `x / 127.5`, which Keras itself does not read.

It writes them as layers, by their class alone, and takes `Add` for the layer of that name, which
adds tensors and no numbers; others it does not find. Here they get names of their own.
"""

import json
from pathlib import Path
from typing import Any

import h5py

_PREFIX = "operation-"
_LAYER_KEYS = frozenset({"trainable", "dtype", "batch_shape", "layers"})


def load_with_operations(path: Path, known: dict[str, Any], *, safe: bool) -> Any:
    """Return the model of an HDF5 file; `known` are classes by the names that it has for them."""
    import keras  # noqa: PLC0415 - of the child, and only where Keras 3 is needed
    from keras.src.legacy.saving import saving_options, saving_utils  # noqa: PLC0415
    from keras.src.saving import serialization_lib  # noqa: PLC0415

    config = _config(path)
    if not _rename(config):
        return keras.saving.load_model(path, custom_objects=known, compile=False, safe_mode=safe)
    with (
        saving_options.keras_option_scope(use_legacy_config=True),
        serialization_lib.SafeModeScope(safe),
    ):
        model = saving_utils.model_from_config(config, custom_objects={**known, **_operations()})
    model.load_weights(path)
    return model


def _config(path: Path) -> Any:
    with h5py.File(path, "r") as file:
        stored = file.attrs["model_config"]
    return json.loads(stored)


def _operations() -> dict[str, Any]:
    """Return Keras's operations by the names that `_rename` gives them."""
    from keras.src.ops import core, image, linalg, math, nn, numpy  # noqa: PLC0415
    from keras.src.ops.operation import Operation  # noqa: PLC0415

    return {
        _PREFIX + name: kind
        for module in (core, image, linalg, math, nn, numpy)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, Operation) and kind is not Operation
    }


def _rename(config: Any) -> bool:
    """Rename, in place, the nodes of a functional model that have nothing that layers have."""
    renamed = False
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            inner = value.get("config")
            if (
                "inbound_nodes" in value
                and isinstance(inner, dict)
                and not _LAYER_KEYS & inner.keys()
            ):
                value["class_name"] = _PREFIX + str(value["class_name"])
                renamed = True
            waiting.extend(value.values())
    return renamed
