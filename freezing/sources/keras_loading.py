"""A Keras model in memory, and its inference traced: by Keras 3, or by Keras 2 (`tf_keras`)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from freezing.running.reasons import reason
from freezing.sources.keras_archives import pack
from freezing.sources.keras_audit import too_old
from freezing.sources.keras_kernels import turn_kernels
from freezing.sources.keras_operations import build_legacy
from freezing.sources.keras_schema.rebuild import GIVEN
from freezing.sources.traced_functions import Traced, graph_of
from worker.errors import SourceError

_UNKNOWN = re.compile(
    r"[Uu]nknown (?P<what>\w+):? *'(?P<name>[\w>.]+)'"
    r"|Could not (?:locate|find) (?P<kind>class|function) '(?P<other>[\w>.]+)'"
)


@dataclass(frozen=True, kw_only=True)
class KerasFile:
    """What Keras is given of a model file: a configuration that was written anew, and weights."""

    name: str  # what the person called it
    version: str  # of the Keras that wrote it, "" where unknown
    weights: Path  # an HDF5 file, or the folder of an unpacked `.keras` file with `config` in it
    config: str  # JSON
    is_hdf5: bool  # whether the configuration is one as HDF5 files have it
    safe: bool  # whether byte code in it is refused
    turned: bool = False  # whether kernels are stored turned around, as for Theano


@dataclass(frozen=True, kw_only=True)
class Library:
    """One of the two libraries that read Keras files."""

    name: str
    load: Callable[[Path, bool], Any]  # folder, whether in safe mode
    build: Callable[[str, bool, bool], Any]  # a model without its weights, from JSON
    structure: str  # the attribute of a model that holds its inputs as they are given to it
    pack: Callable[[Any, list[Any]], Any]
    flatten: Callable[[Any], list[Any]]
    variables: Callable[[Any], list[tuple[str, Any]]]  # of a model: name and tf.Variable
    layer_of: Callable[[Any], str]  # the name of the layer that gives a symbolic tensor


def load_and_trace(file: KerasFile) -> Traced:
    """Load a model file and trace what it answers outside training.

    Files of Keras 2 are read by Keras 2 and others by Keras 3; where that fails the other is tried.
    Raises `SourceError` saying why it cannot be loaded, and `MemoryError`.
    """
    order = [keras_2, keras_3] if file.version[:2] in ("", "1.", "2.") else [keras_3, keras_2]
    failures: list[Exception] = []
    for library in order:
        try:
            chosen = library()
            return _trace(load(file, chosen), chosen, file.name)
        except (SourceError, MemoryError):
            raise
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError from error
        except Exception as error:  # what Keras raises on a file that it does not read is anything
            failures.append(error)
    raise _cannot_load(file.name, file.version, failures) from failures[0]


def load(file: KerasFile, library: Library) -> Any:
    """Return the model in one of the libraries; raise what that raises."""
    if file.weights.is_dir():
        return library.load(file.weights, file.safe)
    model = library.build(file.config, file.is_hdf5, file.safe)
    model.load_weights(file.weights)
    if file.turned:
        turn_kernels(model)
    return model


def keras_3() -> Library:
    """Import Keras 3."""
    import keras  # noqa: PLC0415 - one of the two is enough
    from keras.src.applications import convnext, inception_resnet_v2  # noqa: PLC0415
    from keras.src.models.functional import Functional  # noqa: PLC0415
    from keras.src.saving import serialization_lib  # noqa: PLC0415

    known = {
        "Functional": Functional,
        "LayerScale": convnext.LayerScale,
        "StochasticDepth": convnext.StochasticDepth,
        "CustomScaleLayer": inception_resnet_v2.CustomScaleLayer,
    }

    def load(path: Path, safe: bool) -> Any:
        return keras.saving.load_model(path, custom_objects=known, compile=False, safe_mode=safe)

    def build(config: str, is_hdf5: bool, safe: bool) -> Any:
        if is_hdf5:
            return build_legacy(config, known, safe=safe)
        with serialization_lib.SafeModeScope(safe):
            return keras.models.model_from_json(config, custom_objects=known)

    return Library(
        name=f"Keras {keras.__version__}",
        load=load,
        build=build,
        structure="_inputs_struct",
        pack=keras.tree.pack_sequence_as,
        flatten=lambda value: list(keras.tree.flatten(value)),
        variables=lambda model: [(one.path, one.value) for one in model.variables],
        layer_of=lambda tensor: str(tensor._keras_history.operation.name),
    )


def keras_2() -> Library:
    """Import Keras 2."""
    import tf_keras  # noqa: PLC0415 - one of the two is enough
    from tf_keras.src.applications import convnext, inception_resnet_v2  # noqa: PLC0415
    from tf_keras.src.engine.functional import Functional  # noqa: PLC0415
    from tf_keras.src.layers import serialization as layers  # noqa: PLC0415
    from tf_keras.src.saving import serialization_lib  # noqa: PLC0415

    layers.populate_deserializable_objects()
    # What Keras keeps beside its layers, and files name without saying where it is.
    known = {name: layers.LOCAL.ALL_OBJECTS[name] for name in GIVEN & {*layers.LOCAL.ALL_OBJECTS}}
    known |= {
        "Functional": Functional,
        "LayerScale": convnext.LayerScale,
        "StochasticDepth": convnext.StochasticDepth,
        "CustomScaleLayer": inception_resnet_v2.CustomScaleLayer,
        "relu6": tf.nn.relu6,
    }

    def load(path: Path, safe: bool) -> Any:
        folder, path = path, path.with_suffix(".keras")
        pack(folder, path)
        with serialization_lib.SafeModeScope(safe):
            return tf_keras.models.load_model(path, custom_objects=known, compile=False)

    def build(config: str, _: bool, safe: bool) -> Any:
        # It would run byte code in any mode, were the scope not set.
        with serialization_lib.SafeModeScope(safe):
            return tf_keras.models.model_from_json(config, custom_objects=known)

    return Library(
        name=f"tf_keras {tf_keras.__version__}",
        load=load,
        build=build,
        structure="_nested_inputs",
        pack=tf.nest.pack_sequence_as,
        flatten=lambda value: list(tf.nest.flatten(value)),
        variables=lambda model: [(one.name.removesuffix(":0"), one) for one in model.variables],
        layer_of=lambda tensor: str(tensor._keras_history.layer.name),
    )


def _trace(model: Any, library: Library, name: str) -> Traced:
    """Return the graph of `model(inputs, training=False)`."""
    symbolic = getattr(model, "inputs", None)
    if not symbolic:
        raise SourceError(
            f"The model in '{name}' does not say which shape its input has: call it once on an "
            "image before saving it, or begin it with an Input layer."
        )
    # A Sequential model has no such structure: it takes one tensor.
    like = getattr(model, library.structure, None)
    like = symbolic[0] if like is None else like

    def infer(*tensors: Any) -> list[Any]:
        return library.flatten(model(library.pack(like, list(tensors)), training=False))

    function = _traced(infer, symbolic)
    return graph_of(
        function,
        inputs=[library.layer_of(one) for one in symbolic],
        outputs=[library.layer_of(one) for one in library.flatten(model.outputs)],
        variables=library.variables(model),
    )


def _traced(infer: Callable[..., Any], symbolic: list[Any]) -> Any:
    """Return the concrete function for a batch of any size, else for the size that is declared.

    The declared size may only be that of the first batch in training.
    """
    function = tf.function(infer, autograph=False)
    declared = [list(one.shape) for one in symbolic]
    for shapes in ([[None, *shape[1:]] if shape else shape for shape in declared], declared):
        specs = [
            tf.TensorSpec(shape, one.dtype) for shape, one in zip(shapes, symbolic, strict=True)
        ]
        try:
            return function.get_concrete_function(*specs)
        except (ValueError, TypeError, tf.errors.OpError):
            if shapes == declared:
                raise
    raise AssertionError  # one of the two returned or raised


def _cannot_load(name: str, version: str, failures: list[Exception]) -> SourceError:
    writer = f"Keras {version}" if version else "an unknown Keras"
    for failure in failures:
        found = _UNKNOWN.search(str(failure))
        if found:
            missing = found["name"] or found["other"]
            return SourceError(
                f"'{name}' (written by {writer}) needs {missing}, which Keras does not have: it is "
                "the model's own. Export the model where it was trained, with "
                "model.export(FOLDER), and freeze the SavedModel, which needs no code."
            )
    if version.startswith("1."):
        return too_old(name, version, reason(failures[0]))
    return SourceError(
        f"'{name}' (written by {writer}) cannot be loaded: {reason(failures[0])}. If it loads "
        "where it was trained, export it there with model.export(FOLDER), and freeze the "
        "SavedModel."
    )
