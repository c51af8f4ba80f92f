"""Models of Keras 3 from its HDF5 files, with operations such as `x / 127.5`, which it cannot read.

It writes operations as layers, by their class alone, and takes `Add` for the layer of that name,
which adds tensors and no numbers; others it does not find. `keras_schema.rebuild` gives them names
of their own, by which they are found here.
"""

from typing import Any

from freezing.sources.keras_schema.config_reader import OPERATION_PREFIX
from freezing.sources.keras_schema.operations import MODULES


def build_legacy(config: str, known: dict[str, Any], *, safe: bool) -> Any:
    """Return the model that a configuration as HDF5 files have it describes, without weights.

    `known` are classes by the names that it has for them.
    """
    # Of the child, and only where Keras 3 is needed.
    from keras.src.legacy.saving import json_utils, saving_options, saving_utils  # noqa: PLC0415
    from keras.src.saving import serialization_lib  # noqa: PLC0415

    with (
        saving_options.keras_option_scope(use_legacy_config=True),
        serialization_lib.SafeModeScope(safe),
    ):
        return saving_utils.model_from_config(
            json_utils.decode(config), custom_objects={**known, **_operations()}
        )


def _operations() -> dict[str, Any]:
    """Return Keras's operations by the names that `rebuild` gives them."""
    from keras.src import ops  # noqa: PLC0415

    return {
        OPERATION_PREFIX + name: getattr(getattr(ops, module.rpartition(".")[2]), name)
        for name, module in MODULES.items()
    }
