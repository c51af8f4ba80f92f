"""Code in Keras files: refused before Keras sees any of it, unless the operator allows it."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from freezing.sources.keras_audit import UnsafeSourceError, parse_config
from freezing.sources.keras_schema.rebuild import rebuild
from freezing.sources.opening import open_source
from worker.errors import SourceError
from worker.sources.choice import SourceChoice

ALLOWED = SourceChoice(allow_code=True)
FUNCTIONAL: dict[str, Any] = {
    "layers": [{"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "in"}}],
    "input_layers": [["in", 0, 0]],
    "output_layers": ["in", 0, 0],
}

# Keras 3 warns of numpy's newer protocol, Keras 2 of its own older formats.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def _layer(kind: str, *, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": {"name": "odd", **config}}


def _part(kind: str, *, module: str = "keras.initializers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": config}


def _found(value: dict[str, Any]) -> list[str]:
    config = {"class_name": "Sequential", "config": {"name": "net", "layers": [value]}}
    return [finding.what for finding in rebuild(config)[1]]


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (_layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wE"}}), "odd"),
        ({"class_name": "Lambda", "config": {"name": "odd", "function": ["4wE", None]}}, "Lambda"),
        (_layer("TimeDistributed", layer=_layer("Lambda", function="f")), "'odd' is a Lambda"),
        (_layer("Crop", module="mine.layers"), "'odd' is of the class Crop of the module 'mine"),
        (_layer("Crop", module=None), "which is not Keras's own"),
        ({**_layer("Crop", module=None), "registered_name": "Mine>Crop"}, "the package 'Mine'"),
        ({"class_name": "Addons>GroupNorm", "config": {"name": "odd"}}, "the package 'Addons'"),
        (_layer("Popen", module="subprocess"), "the module 'subprocess'"),
        (_layer("get_file", module="keras.utils"), "the module 'keras.utils'"),
        (_layer("Loader", module="keras.src.saving.saving_lib"), "saving_lib"),
        (_layer("TFSMLayer", filepath="/srv/other"), "loads a SavedModel"),
        (_layer("TorchModuleWrapper", module_="gASV"), "unpickles"),
        (_layer("StringLookup", vocabulary="/etc/passwd"), "the name of a file"),
        (_layer("TFOpLambda", function="io.write_file"), r"calls tf.io.write_file"),
        (_layer("TFOpLambda", function="py_function"), "calls tf.py_function"),
        (_layer("ClassMethod", cls_symbol="data.TextLineDataset"), "calls a method"),
        (
            _layer(
                "Dense",
                activation={"module": "os", "class_name": "function", "config": "system"},
            ),
            "the function system (in 'odd') of the module 'os'",
        ),
        (
            _layer(
                "Dense",
                activation={
                    "module": "builtins",
                    "class_name": "function",
                    "config": "swish2",
                    "registered_name": "Mine>swish2",
                },
            ),
            "package 'Mine'",
        ),
    ],
)
def test_what_is_not_keras_own_is_found(layer: dict[str, Any], said: str) -> None:
    assert any(said in what for what in _found(layer)), _found(layer)


@pytest.mark.parametrize(
    "layer",
    [
        _layer("Dense", activation="relu", kernel_initializer="zeros"),
        _layer("Dense", kernel_initializer=_part("HeNormal", seed=3)),
        _layer("Functional", module="keras.src.models.functional", **FUNCTIONAL),
        _layer("Functional", module="keras.src.engine.functional", **FUNCTIONAL),
        _layer("BatchNormalizationV1", module="tensorflow.python.keras.layers"),
        _layer("Dense", dtype=_part("DTypePolicy", module="keras", name="mixed_float16")),
        _layer("LayerScale", module="keras.src.applications.convnext"),
        _layer("Dense", bias_initializer=_part("Zeros", module="tensorflow.python.ops.init_ops")),
        _layer("Add", module="keras.src.ops.numpy"),
        _layer("GetItem", module="keras.ops"),
        _layer("TFOpLambda", function="math.truediv"),
        _layer("TFOpLambda", function="nn.relu6"),
        _layer("SlicingOpLambda", function="__operators__.getitem"),
        _layer("StringLookup", vocabulary=["cat", "dog"]),
        _layer(
            "Dense",
            activation={"module": "builtins", "class_name": "function", "config": "relu"},
        ),
        {"class_name": "Conv2D", "config": {"name": "old"}},
        {**_layer("Dense"), "compile_config": {"loss": _layer("Mine", module="mine")}},
    ],
)
def test_what_only_computes_is_let_through(layer: dict[str, Any]) -> None:
    assert _found(layer) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 200_000, "nested too deeply"),
        ("{", "not JSON"),
        ("[]", "no Keras model"),
        ('{"a": 1}', "no Keras model"),
    ],
)
def test_a_configuration_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        parse_config(text, "model.keras")


def _lambda_model() -> Any:
    return keras.Sequential(
        [
            keras.layers.Input([4, 4, 3]),
            keras.layers.Lambda(lambda x: x * 2.0, name="double"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_lambda_is_refused_unless_the_operator_allows_it(tmp_path: Path, name: str) -> None:
    model = _lambda_model()
    model.save(tmp_path / name)
    with pytest.raises(UnsafeSourceError, match=r"'double' is a Lambda.*ALLOW_KERAS_CODE") as error:
        open_source(tmp_path / name)
    assert error.value.code == "unsafe_source"
    source = open_source(tmp_path / name, ALLOWED)
    assert any("'double' is a Lambda" in warning for warning in source.warnings)


def test_what_reaches_for_files_is_never_allowed(tmp_path: Path) -> None:
    path = _keras_file(tmp_path, lambda config: _first(config).update(_layer("TFSMLayer")))
    with pytest.raises(UnsafeSourceError, match="TFSMLayer") as error:
        open_source(path, ALLOWED)
    assert "PERMAFROST_ALLOW_KERAS_CODE" not in error.value.message


def test_the_losses_of_inner_models_do_not_matter(tmp_path: Path) -> None:
    def add_loss(config: dict[str, Any]) -> None:
        inner = config["config"]["layers"][0]
        inner["compile_config"] = {"loss": _layer("Mine", module="mine"), "optimizer": "adam"}

    assert open_source(_keras_file(tmp_path, add_loss)).kind == "keras"


# -- ways out of the file -----------------------------------------------------------------------


def test_arrays_in_other_files_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["values"] = np.zeros(3)
    model = _plain()
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        file["model_weights/stolen"] = h5py.ExternalLink(str(secret), "/values")
    with pytest.raises(UnsafeSourceError, match="'/model_weights/stolen' from another file"):
        open_source(tmp_path / "model.h5")


def test_arrays_with_outer_storage_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(12))
    _plain().save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        file.create_dataset(
            "model_weights/raw", [3], "f4", external=[(str(tmp_path / "secret"), 0, 12)]
        )
    with pytest.raises(UnsafeSourceError, match="'/model_weights/raw' in another file"):
        open_source(tmp_path / "model.h5")


def test_weights_in_a_keras_file_may_not_leave_it(tmp_path: Path) -> None:
    path = _keras_file(tmp_path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "inner.h5").write_bytes(members["model.weights.h5"])
    with h5py.File(tmp_path / "inner.h5", "r+") as file:
        file["stolen"] = h5py.ExternalLink("/etc/passwd", "/")
    members["model.weights.h5"] = (tmp_path / "inner.h5").read_bytes()
    _write_zip(path, members)
    with pytest.raises(UnsafeSourceError, match="from another file"):
        open_source(path)


def test_an_array_that_unpacks_to_terabytes_is_refused(tmp_path: Path) -> None:
    _plain().save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        file.create_dataset("model_weights/bomb", [1 << 40], "f4", chunks=(1 << 20,))
    with pytest.raises(SourceError, match=r"arrays need 4 TiB"):
        open_source(tmp_path / "model.h5")


def test_members_of_a_keras_file_are_not_unpacked_elsewhere(tmp_path: Path) -> None:
    path = _keras_file(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../outside.txt", "x")
    assert open_source(path).kind == "keras"
    assert not list(tmp_path.parent.glob("outside.txt"))


def _plain() -> Any:
    return keras.Sequential(
        [keras.layers.Input([4, 4, 3]), keras.layers.Flatten(), keras.layers.Dense(3)]
    )


def _first(config: dict[str, Any]) -> dict[str, Any]:
    layer: dict[str, Any] = config["config"]["layers"][1]
    return layer


def _keras_file(folder: Path, change: Callable[[dict[str, Any]], object] = id) -> Path:
    """Write a small model inside another one, its configuration changed."""
    path = folder / "model.keras"
    inner = _plain()
    keras.Sequential([inner, keras.layers.Dense(2)]).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    _write_zip(path, members)
    return path


def _write_zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
