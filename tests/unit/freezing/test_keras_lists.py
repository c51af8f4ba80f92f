"""Every class on the lists of layers: saved by Keras, read by the lists, and answering the same."""

import json
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tf_keras

from freezing.sources.keras_audit import clean_config, parse_config
from freezing.sources.keras_loading import KerasFile, keras_2, keras_3, load
from freezing.sources.keras_schema import field_kinds, operations, parts
from freezing.sources.keras_schema.layers import ANY, CELLS, LAYERS, TENSORFLOW_LAYERS
from tests.support import keras_samples
from tests.support.keras_samples import INPUTS, sample
from tests.unit.freezing.saved import v1

KERAS_3, KERAS_2 = keras, tf_keras

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def _as_tensorflow_2() -> None:
    v1.enable_resource_variables()
    v1.enable_control_flow_v2()


# What Keras itself cannot save, or cannot load again.
_NEITHER = frozenset({"RandomShear", "GroupedQueryAttention", "Equalization"})
_UNSAVED = frozenset(
    {"RandomBrightness", "RandomPosterization", "RandomSaturation", "RandomSharpness"}
    | {"Solarization", "RandomColorDegeneration", "Attention"}
)
KERAS_CANNOT: dict[tuple[str, str], frozenset[str]] = {
    ("keras", ".keras"): _NEITHER,
    ("keras", ".h5"): _NEITHER | _UNSAVED,
    ("tf_keras", ".keras"): frozenset(),
    ("tf_keras", ".h5"): frozenset(),
}


def _class_of(k: ModuleType, name: str) -> Any:
    """Return a layer's class in one of the two libraries; None where it has none of that name."""
    if name in keras_samples.BESIDE:
        from keras.src.applications import convnext as convnext_3
        from keras.src.applications import inception_resnet_v2 as inception_3
        from tf_keras.src.applications import convnext as convnext_2
        from tf_keras.src.applications import inception_resnet_v2 as inception_2

        found = [convnext_3, inception_3] if k is KERAS_3 else [convnext_2, inception_2]
        return next(kind for one in found if (kind := getattr(one, name, None)))
    if k is KERAS_2:
        from tf_keras.src.layers import serialization

        serialization.populate_deserializable_objects()
        return serialization.LOCAL.ALL_OBJECTS.get(name)
    from keras.src import layers

    return getattr(layers, name, None) or getattr(k.layers, name, None)


def _names(k: ModuleType) -> list[str]:
    return [name for name in LAYERS if name != "InputLayer" and _class_of(k, name) is not None]


def _model(k: ModuleType, names: list[str]) -> Any:
    """Return one model with all of these layers side by side, each with an output of its own."""
    inputs: dict[str, list[Any]] = {}
    outputs = []
    for name in names:
        found = sample(k, name)
        assert found is not None, f"no sample of {name} in tests/support/keras_samples.py"
        takes, arguments = found
        if takes not in inputs:
            inputs[takes] = [
                k.layers.Input(
                    shape, name=f"{takes}_{index}", dtype="int32" if takes == "words" else "float32"
                )
                for index, shape in enumerate(INPUTS[takes])
            ]
        tensors = inputs[takes]
        layer = _class_of(k, name)(**arguments, name=f"the_{name.lower()}")
        if name in keras_samples.CALLED_TWICE:
            outputs.append(layer(tensors[0], tensors[0]))
        else:
            outputs.append(layer(tensors if len(tensors) > 1 else tensors[0]))
    return k.Model([one for several in inputs.values() for one in several], outputs)


def _opened(path: Path, version: str) -> KerasFile:
    """Read a saved model by the lists, as `keras_files` does."""
    folder = path.parent / "parts"
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        text: Any = (folder / "config.json").read_text()
    else:
        with h5py.File(path) as file:
            text = file.attrs["model_config"]
    config, found = clean_config(parse_config(text, path.name), path.name, allowed=False)
    assert found == []
    written = json.dumps(config)
    if path.suffix == ".keras":
        (folder / "config.json").write_text(written)
    return KerasFile(
        name=path.name,
        version=version,
        weights=folder if path.suffix == ".keras" else path,
        config=written,
        is_hdf5=True,
        safe=True,
    )


@pytest.mark.parametrize(
    ("k", "suffix"),
    [(KERAS_3, ".keras"), (KERAS_3, ".h5"), (KERAS_2, ".keras"), (KERAS_2, ".h5")],
    ids=["keras 3", "keras 3 hdf5", "keras 2", "keras 2 hdf5"],
)
def test_every_layer_on_the_list_answers_as_before(
    tmp_path: Path, k: ModuleType, suffix: str
) -> None:
    names = [name for name in _names(k) if name not in keras_samples.CONFIG_ONLY]
    names = [name for name in names if name not in KERAS_CANNOT[k.__name__, suffix]]
    model = _model(k, names)
    random = np.random.default_rng(1)
    values = [
        random.uniform(1, 4, [2, *one.shape[1:]]).astype(
            np.int32 if "words" in one.name else np.float32
        )
        for one in model.inputs
    ]
    model.set_weights(
        [
            random.uniform(0.05, 0.4, one.shape).astype(one.dtype)
            if np.issubdtype(one.dtype, np.floating)
            else one
            for one in model.get_weights()
        ]
    )
    expected = model(values, training=False)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    loaded = load(_opened(path, k.__version__), keras_3() if k is KERAS_3 else keras_2())
    answers = loaded(values, training=False)
    for name, answer, before in zip(names, answers, expected, strict=True):
        np.testing.assert_allclose(answer, before, atol=1e-5, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("k", [KERAS_3, KERAS_2], ids=["keras 3", "keras 2"])
def test_what_layers_keep_is_what_the_lists_say(k: ModuleType) -> None:
    for name in _names(k):
        found = sample(k, name)
        assert found is not None, f"no sample of {name} in tests/support/keras_samples.py"
        kept = _class_of(k, name)(**found[1]).get_config()
        known = field_kinds.fields_of(f"{ANY} {LAYERS[name]}")
        assert kept.keys() <= known.keys(), name


def test_every_class_on_the_list_is_one_of_keras() -> None:
    both = {*_names(KERAS_3), *_names(KERAS_2), "InputLayer"}
    assert both == LAYERS.keys()
    for name in (*CELLS, *TENSORFLOW_LAYERS):
        assert _class_of(KERAS_2, name) is not None or _class_of(KERAS_3, name) is not None, name


@pytest.mark.parametrize("k", [KERAS_3, KERAS_2], ids=["keras 3", "keras 2"])
@pytest.mark.parametrize(
    ("role", "table"),
    [
        ("initializers", parts.INITIALIZERS),
        ("regularizers", parts.REGULARIZERS),
        ("constraints", parts.CONSTRAINTS),
    ],
)
def test_what_parts_of_layers_keep_is_what_the_lists_say(
    k: ModuleType, role: str, table: dict[str, str]
) -> None:
    seen = 0
    for name, fields in table.items():
        kind = getattr(getattr(k, role), name, None)
        if isinstance(kind, type):
            assert kind().get_config().keys() <= field_kinds.fields_of(fields).keys(), name
            seen += 1
    assert seen > 2


def test_every_operation_on_the_list_is_one_of_keras() -> None:
    from keras.src import ops

    for name, module in operations.MODULES.items():
        kind = getattr(getattr(ops, module.rpartition(".")[2]), name)
        assert issubclass(kind, ops.operation.Operation), name
        assert field_kinds.fields_of(operations.OPERATIONS[name], others="numbers") is not None
