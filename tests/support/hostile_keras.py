"""Keras files that would run code if a reader let them: each writes a marker file and no more.

Built in the test that uses them, and never kept. What a layer is replaced by is given once, and
written into every kind of file: `.keras` of Keras 3 and 2, HDF5, and JSON beside weights.
"""

import base64
import copy
import io
import json
import marshal
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np

Config = dict[str, Any]
_TARGET = "target"  # the layer that is replaced


def benign(folder: Path) -> list[Path]:
    """Save a small model in every kind of file; the layer `target` is a Dense of 4."""
    import keras
    import tf_keras

    found = []
    for k, name in (
        (keras, "three.keras"),
        (keras, "three.h5"),
        (tf_keras, "two.keras"),
        (tf_keras, "two.h5"),
        (tf_keras, "beside/weights.h5"),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        model = _model(k)
        if path.parent.name == "beside":
            model.save_weights(path)
            path.with_name("model.json").write_text(model.to_json())
        else:
            model.save(path)
        found.append(path)
    return found


def _model(k: ModuleType) -> Any:
    inputs = k.layers.Input([4], name="in")
    x = k.layers.Dense(4, name=_TARGET, activation="relu")(inputs)
    x = k.layers.BatchNormalization(name="norm")(x / 2.0)
    x = k.layers.Dropout(0.5, name="drop")(x)
    return k.Model(inputs, k.layers.Dense(2, activation="softmax", name="out")(x), name="net")


def read(path: Path) -> Any:
    """Return the configuration of a file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    if path.with_name("model.json").exists():
        return json.loads(path.with_name("model.json").read_bytes())
    with h5py.File(path) as file:
        return json.loads(file.attrs["model_config"])


def write(source: Path, path: Path, config: Any, weights: bytes | None = None) -> None:
    """Write a copy of a file with another configuration, which may be text already."""
    text = config if isinstance(config, str) else json.dumps(config)
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        if weights is not None:
            del members["model.weights.h5"]
            members["model.weights.npz"] = weights
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {**members, "config.json": text.encode()}.items():
                archive.writestr(name, content)
        return
    path.write_bytes(source.read_bytes())
    if source.with_name("model.json").exists():
        path.with_name("model.json").write_text(text)
        return
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = text


def _layer(kind: str, module: str | None = "keras.layers", /, **config: Any) -> Config:
    return {"class_name": kind, "config": {"name": _TARGET, **config}, "module": module}


def _function(module: str, name: str) -> Config:
    return {"class_name": "function", "module": module, "config": name, "registered_name": name}


def layers(marker: Path) -> Iterator[tuple[str, Config, Any]]:
    """Yield a name, the layer that takes the place of one, and how it is called beside `in`."""
    touch = f"open({str(marker)!r}, 'w').close()"
    code = base64.b64encode(marshal.dumps(compile(touch, "<marker>", "exec"))).decode()
    lambda_ = {"class_name": "__lambda__", "config": {"value": [code, None, None], "code": code}}
    in_lambda = json.dumps(
        {
            "class_name": "Sequential",
            "config": {"layers": [_layer("Lambda", function=_function("builtins", "exec"))]},
        }
    )
    write_file = {"filename": str(marker), "contents": "x"}
    for kind in ("SlicingOpLambda", "TFOpLambda"):
        for function, called in (
            ("io.write_file", write_file),
            ("tf.io.write_file", write_file),
            ("raw_ops.WriteFile", write_file),
            ("io.gfile.GFile", {"name": str(marker), "mode": "w"}),
            ("keras.models.model_from_json", {"json_string": in_lambda}),
            ("keras.models.load_model", {"filepath": str(marker)}),
            ("keras.utils.get_file", {"origin": f"file://{marker}"}),
            ("py_function", {"func": _function("os", "system"), "Tout": "float32"}),
            ("numpy_function", {"func": _function("builtins", "exec"), "Tout": "float32"}),
            ("load_library", {"library_location": str(marker)}),
            ("load_op_library", {"library_filename": str(marker)}),
            ("saved_model.load", {"export_dir": str(marker)}),
            ("data.experimental.save", {"path": str(marker)}),
            ("summary.create_file_writer", {"logdir": str(marker)}),
            ("map_fn", {"fn": _function("os", "system")}),
            ("nn.fixed_unigram_candidate_sampler", {"vocab_file": str(marker)}),
            ("math.truediv.__globals__", {}),
        ):
            yield f"{kind} {function}", _layer(kind, None, function=function), called
    yield (
        "getitem of a text",
        _layer("SlicingOpLambda", function="__operators__.getitem"),
        {"slice_spec": str(marker)},
    )
    yield "cast with a text", _layer("TFOpLambda", function="cast"), {"dtype": "os.system"}
    for cls, method in (("io.gfile.GFile", "write"), ("RaggedTensor", "from_tensor")):
        yield f"ClassMethod {cls}", _layer("ClassMethod", cls_symbol=cls, method_name=method), {}
    yield "InstanceMethod", _layer("InstanceMethod", attr_name="__reduce__"), {}
    yield "InstanceProperty", _layer("InstanceProperty", attr_name="__class__"), {}
    for op, attributes in (("WriteFile", {}), ("PyFunc", {"token": {"s": "eA=="}})):
        node = {"name": "x", "op": op, "input": ["a", "b"], "attr": attributes}
        yield f"TensorFlowOpLayer {op}", _layer("TensorFlowOpLayer", node_def=node), {}
    call = {"name": "x", "op": "AddV2", "attr": {"f": {"func": {"name": "WriteFile"}}}}
    yield "TensorFlowOpLayer with a function", _layer("TensorFlowOpLayer", node_def=call), {}
    yield (
        "TensorFlowOpLayer as text",
        _layer("TensorFlowOpLayer", node_def="\n\x01x\x12\tWriteFile"),
        {},
    )
    yield "byte code", _layer("Lambda", function=lambda_), {}
    yield "byte code of Keras 2", _layer("Lambda", function=[code, None, None]), {}
    yield "byte code by its type", _layer("Lambda", function=code, function_type="lambda"), {}
    yield "Lambda by name", _layer("Lambda", function=_function("os", "system")), {}
    yield (
        "Lambda in TimeDistributed",
        _layer("TimeDistributed", layer=_layer("Lambda", function=lambda_)),
        {},
    )
    yield (
        "Lambda in Bidirectional",
        _layer(
            "Bidirectional",
            layer=_layer("LSTM", units=2),
            backward_layer=_layer("Lambda", function=lambda_),
        ),
        {},
    )
    yield "Lambda as a cell", _layer("RNN", cell=_layer("Lambda", function=lambda_)), {}
    yield "a cell that is no cell", _layer("RNN", cell=_layer("Dense", units=2)), {}
    yield (
        "Lambda in a pipeline",
        _layer("Pipeline", layers=[_layer("Lambda", function=lambda_)]),
        {},
    )
    yield (
        "Lambda in a model",
        _layer("Sequential", "keras", layers=[_layer("Lambda", function=lambda_)]),
        {},
    )
    yield (
        "Lambda as activation",
        _layer("Dense", units=4, activation=_layer("Lambda", function=lambda_)),
        {},
    )
    for field in (
        *("activation", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
        *("dtype", "bias_initializer", "quantization_config", "units", "use_bias", "name"),
    ):
        for what, value in (
            ("os.system", _function("os", "system")),
            ("exec", _function("builtins", "exec")),
            ("byte code", lambda_),
            (
                "Popen",
                {"class_name": "Popen", "module": "subprocess", "config": {"args": ["true"]}},
            ),
            ("a type", _typespec(marker)),
        ):
            fields: Config = {"units": 4, field: value}
            yield f"{what} as {field}", _layer("Dense", **fields), {}
    yield "a text as activation", _layer("Dense", units=4, activation="eval"), {}
    yield "a type as a layer", {**_typespec(marker), "name": _TARGET}, {}
    for module, kind in (
        ("subprocess", "Popen"),
        ("builtins", "exec"),
        ("os", "system"),
        ("tensorflow.python.platform.gfile", "GFile"),
        ("tensorflow.python.ops.io_ops", "write_file"),
        ("tensorflow.python.lib.io.file_io", "FileIO"),
        ("tensorflow", "io.write_file"),
        ("keras.utils", "get_file"),
        ("keras.src.utils.python_utils", "func_load"),
        ("keras.saving", "load_model"),
        ("keras.models", "load_model"),
        ("keras.models", "model_from_json"),
        ("keras.src.saving.saving_lib", "load_model"),
        ("keras.src.legacy.saving.serialization", "deserialize_keras_object"),
        ("keras.src.layers.core.lambda_layer", "Lambda"),
        ("keras.src.export.tfsm_layer", "TFSMLayer"),
        ("keras.src.ops.core", "Map"),
        ("keras.src.ops.core", "WhileLoop"),
        ("keras.src.ops.function", "Function"),
        ("keras.src.distillation.distiller", "Distiller"),
        ("tf_keras.src.utils.generic_utils", "func_load"),
        ("keras_hub.models", "ImageClassifier"),
        ("keras.callbacks", "LambdaCallback"),
        ("keras.callbacks", "CSVLogger"),
        ("keras.layers.os", "system"),
        ("layers", "Dense"),
    ):
        yield f"{module}.{kind}", _layer(kind, module, filepath=str(marker), args=touch), {}
    yield from _fields_of_layers(marker, touch, code, lambda_)


def _fields_of_layers(
    marker: Path, touch: str, code: str, lambda_: Config
) -> Iterator[tuple[str, Config, Any]]:
    yield "TFSMLayer", _layer("TFSMLayer", filepath=str(marker)), {}
    yield "TorchModuleWrapper", _layer("TorchModuleWrapper", module=code), {}
    yield "FlaxLayer", _layer("FlaxLayer", module=lambda_), {}
    yield "JaxLayer", _layer("JaxLayer", call_fn=lambda_), {}
    yield "a vocabulary in a file", _layer("StringLookup", vocabulary="/etc/passwd"), {}
    yield (
        "a vocabulary by a function",
        _layer("TextVectorization", standardize=_function("os", "system")),
        {},
    )
    yield (
        "a package of its own",
        {
            **_layer("Dense", units=4),
            "registered_name": "Mine>Popen",
        },
        {},
    )
    yield "a name that is a path", _layer("Dense", units=4, name=f"../..{marker}"), {}
    yield "arguments of code", _layer("Dense", units=4), {"training": lambda_}
    yield "arguments of text", _layer("Dense", units=4), {"training": "os.system('true')"}
    yield "arguments of a type", _layer("Dense", units=4), {"mask": _typespec(marker)}
    yield "a keyword of its own", _layer("Dense", units=4), {"__class__": 1}
    yield (
        "shapes of code",
        {**_layer("Dense", units=4), "build_config": {"input_shape": lambda_}},
        {},
    )
    yield (
        "shapes by another name",
        {
            **_layer("Dense", units=4),
            "build_config": {"shapes_dict": {"__globals__": [1]}},
        },
        {},
    )
    yield "a field beside", {**_layer("Dense", units=4), "__reduce__": touch}, {}
    yield "an unknown field", _layer("Dense", units=4, call=touch), {}
    yield "a size beyond all memory", _layer("Dense", units=2**40), {}
    yield "a size that is a text", _layer("Dense", units="4"), {}
    yield "repeated for ever", _layer("RandAugment", num_ops=10**8), {}


def _typespec(marker: Path) -> Config:
    return {
        "class_name": "__typespec__",
        "spec_name": "GFile",
        "module": "tensorflow.python.platform.gfile",
        "registered_name": None,
        "config": [str(marker), "w"],
    }


def files(folder: Path, marker: Path) -> Iterator[tuple[str, Path]]:
    """Write every layer of `layers` into every kind of file; yield what each is called."""
    sources = benign(folder / "benign")
    number = 0
    for name, layer, called in layers(marker):
        for source in sources:
            number += 1
            path = folder / str(number) / source.name
            path.parent.mkdir(parents=True)
            config = copy.deepcopy(read(source))
            if source.parent.name == "beside":
                path.with_name("model.json").write_text("")
                _place(config, layer, called)
                path.write_bytes(source.read_bytes())
                path.with_name("model.json").write_text(json.dumps(config))
            else:
                _place(config, layer, called)
                write(source, path, config)
            yield f"{name} in {source.name}", path
    for name, weights in (("pickles", _pickled(marker)),):
        path = folder / f"{name}.keras"
        write(sources[0], path, read(sources[0]), weights=weights)
        yield name, path


def _place(config: Config, layer: Config, called: Any) -> None:
    """Put the layer in the place of `target`, called as before and with `called` beside."""
    entries = config["config"]["layers"]
    index = next(i for i, one in enumerate(entries) if one["config"].get("name") == _TARGET)
    old = entries[index]
    new = copy.deepcopy(layer)
    if "module" not in old or new.get("module") is None:
        new.pop("module", None)
    new["name"] = new.get("name", _TARGET)
    nodes = copy.deepcopy(old["inbound_nodes"])
    if isinstance(nodes[0], dict):
        nodes[0]["kwargs"] = called
    else:
        nodes[0][0][3:] = [called]
    new["inbound_nodes"] = nodes
    entries[index] = new


class _Marker:
    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return (exec, (f"open({str(self._marker)!r}, 'w').close()",))


def _pickled(marker: Path) -> bytes:
    file = io.BytesIO()
    held = np.empty([1], object)
    held[0] = _Marker(marker)
    np.savez(file, **{"__root__": held, "layers/dense/vars": held}, allow_pickle=True)
    assert pickle.dumps(held)
    return file.getvalue()


# What a mutation puts into a configuration.
DANGEROUS: list[Any] = [
    *("exec", "eval", "os.system", "builtins.exec", "__import__", "subprocess.Popen", "Lambda"),
    *("io.write_file", "keras.models.load_model", "model_from_json", "get_file", "/etc/passwd"),
    *("../../x", "SlicingOpLambda", "TFOpLambda", "TensorFlowOpLayer", "TFSMLayer", "__lambda__"),
    *("function", "os", "subprocess", "keras.utils", "tensorflow.python.ops.io_ops", "deserialize"),
    *(None, True, -1, 2**70, 1e308, "", [], {}, [[[[]]]], 0.5, "relu", "Dense", "in", "out"),
    _function("os", "system"),
    _function("builtins", "exec"),
    {"class_name": "Popen", "module": "subprocess", "config": {"args": ["true"]}},
    {"class_name": "__lambda__", "config": {"value": ["4wAA", None, None]}},
    _typespec(Path("/nowhere/marker")),
    _layer("Lambda", function="exec"),
    _layer("TFOpLambda", None, function="io.write_file"),
    {"class_name": "__tuple__", "items": ["exec"]},
    ["in", 0, 0, {"function": "exec"}],
]
