"""A Keras model in memory, and its inference traced: by Keras 3, or by Keras 2 (`tf_keras`)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from freezing.reasons import reason
from freezing.sources.concrete import Traced, graph_of
from freezing.sources.keras_archives import pack
from freezing.sources.keras_operations import load_with_operations
from worker.errors import SourceError

_UNKNOWN = re.compile(
    r"[Uu]nknown (?P<what>\w+):? *'(?P<name>[\w>.]+)'"
    r"|Could not (?:locate|find) (?P<kind>class|function) '(?P<other>[\w>.]+)'"
)


@dataclass(frozen=True, kw_only=True)
class _Library:
    """One of the two libraries that read Keras files."""

    name: str
    load: Callable[[Path, bool], Any]  # file, whether in safe mode
    build: Callable[[str, bool], Any]  # a model without its weights, from JSON
    structure: str  # the attribute of a model that holds its inputs as they are given to it
    pack: Callable[[Any, list[Any]], Any]
    flatten: Callable[[Any], list[Any]]
    variables: Callable[[Any], list[tuple[str, Any]]]  # of a model: name and tf.Variable
    layer_of: Callable[[Any], str]  # the name of the layer that gives a symbolic tensor


def load_and_trace(
    path: Path, name: str, version: str, *, config: str | None, safe: bool
) -> Traced:
    """Load a model file and trace what it answers outside training.

    `path` is an HDF5 file that ends in `.h5`, or the folder of an unpacked `.keras` file; `name` is
    what the person called it, and `version` the Keras that wrote it, "" where unknown. With
    `config`, the model's description as JSON, the file holds only its weights. Files of Keras 2
    are read by Keras 2 and others by Keras 3; where that fails the other is tried. Raises
    `SourceError` saying why it cannot be loaded.
    """
    order = [_keras_2, _keras_3] if version[:2] in ("", "1.", "2.") else [_keras_3, _keras_2]
    failures: list[Exception] = []
    for library in order:
        try:
            chosen = library()
            if config is None:
                model = chosen.load(path, safe)
            else:
                model = chosen.build(config, safe)
                model.load_weights(path)
            return _trace(model, chosen, name)
        except (SourceError, MemoryError):
            raise
        except Exception as error:  # what Keras raises on a file that it does not read is anything
            failures.append(error)
    raise _cannot_load(name, version, failures) from failures[0]


def _keras_3() -> _Library:
    import keras  # noqa: PLC0415 - one of the two is enough
    from keras.src.applications.convnext import LayerScale  # noqa: PLC0415
    from keras.src.saving import serialization_lib  # noqa: PLC0415

    known = {"LayerScale": LayerScale}

    def load(path: Path, safe: bool) -> Any:
        if path.suffix == ".h5":
            return load_with_operations(path, known, safe=safe)
        return keras.saving.load_model(path, custom_objects=known, compile=False, safe_mode=safe)

    def build(config: str, safe: bool) -> Any:
        with serialization_lib.SafeModeScope(safe):
            return keras.models.model_from_json(config, custom_objects=known)

    return _Library(
        name=f"Keras {keras.__version__}",
        load=load,
        build=build,
        structure="_inputs_struct",
        pack=keras.tree.pack_sequence_as,
        flatten=lambda value: list(keras.tree.flatten(value)),
        variables=lambda model: [(one.path, one.value) for one in model.variables],
        layer_of=lambda tensor: str(tensor._keras_history.operation.name),
    )


def _keras_2() -> _Library:
    import tf_keras  # noqa: PLC0415 - one of the two is enough
    from tf_keras.src.applications.convnext import LayerScale  # noqa: PLC0415
    from tf_keras.src.saving import serialization_lib  # noqa: PLC0415

    # What Keras keeps beside its networks, and their files name without saying where it is.
    known = {"LayerScale": LayerScale, "relu6": tf.nn.relu6}

    def load(path: Path, safe: bool) -> Any:
        if path.is_dir():
            folder, path = path, path.with_suffix(".keras")
            pack(folder, path)
        # Of HDF5 files it would run byte code in any mode, were the scope not set.
        with serialization_lib.SafeModeScope(safe):
            return tf_keras.models.load_model(path, custom_objects=known, compile=False)

    def build(config: str, safe: bool) -> Any:
        with serialization_lib.SafeModeScope(safe):
            return tf_keras.models.model_from_json(config, custom_objects=known)

    return _Library(
        name=f"tf_keras {tf_keras.__version__}",
        load=load,
        build=build,
        structure="_nested_inputs",
        pack=tf.nest.pack_sequence_as,
        flatten=lambda value: list(tf.nest.flatten(value)),
        variables=lambda model: [(one.name.removesuffix(":0"), one) for one in model.variables],
        layer_of=lambda tensor: str(tensor._keras_history.layer.name),
    )


def _trace(model: Any, library: _Library, name: str) -> Traced:
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
        return SourceError(
            f"'{name}' was written by Keras {version}, whose layers later ones do not know "
            f"({reason(failures[0])}). Load it with a Keras from 2.0 to 2.2, which still does, and "
            "save it again with model.save('model.h5')."
        )
    return SourceError(
        f"'{name}' (written by {writer}) cannot be loaded: {reason(failures[0])}. If it loads "
        "where it was trained, export it there with model.export(FOLDER), and freeze the "
        "SavedModel."
    )
