"""Whose a class or function is that a configuration names: Keras's own, or another package's."""

import re
from typing import Any

from freezing.sources.keras_schema.violations import SchemaViolation, shown

_OWN_ROOTS = re.compile(r"\A(keras|tf_keras|tensorflow\.(python\.)?keras)(\.|\Z)")
# TensorFlow's own initializers and activations, which Keras 2 names by where they are.
_TENSORFLOW = re.compile(
    r"\Atensorflow\.python\.ops\.(init_ops|init_ops_v2|(gen_)?(nn|math)_ops|nn_impl|nn)\Z"
)
_OWN_PACKAGES = frozenset({"keras", "keras.src", "tf_keras"})
# What Keras 2 registers as users register their own.
_OWN_CUSTOM = frozenset({"Custom>CustomScaleLayer"})
# Where in Keras the parts of models are. Others (`utils`, `saving`, `datasets`) reach for files.
_MODEL_PARTS = frozenset(
    {"layers", "models", "engine", "ops", "initializers", "regularizers", "constraints"}
    | {"activations", "dtype_policies", "mixed_precision", "quantizers", "random", "applications"}
)
_CLOSED_PARTS = frozenset(
    {"utils", "saving", "datasets", "export", "legacy", "backend", "trainers"}
)
_ROOT_PARTS = frozenset({"keras", "tf_keras", "tensorflow", "python", "src", "api"})
_ROOT_CLASSES = frozenset(
    {"Model", "Functional", "Sequential", "DTypePolicy", "FloatDTypePolicy", "Policy"}
    | {"Quantizer", "SeedGenerator"}
)


def foreign(value: dict[str, Any], named: str) -> SchemaViolation | None:
    """Return a finding where a class or function is not Keras's own.

    `named` is how a person is told of it: "the layer 'crop' is of the class Crop". An operator may
    allow what other packages bring; what is TensorFlow's or Keras's and no part of a model is never
    allowed.
    """
    package = _package(value)
    if package is not None:
        return SchemaViolation(what=f"{named} of the package {shown(package)}", allowed=True)
    if "module" not in value or value["module"] == "builtins":
        return None
    module = value["module"]
    if module is None:
        return SchemaViolation(what=f"{named}, which is not Keras's own", allowed=True)
    if not isinstance(module, str):
        return SchemaViolation(what=f"{named} of a module without a name")
    if is_model_part(module, str(value["class_name"])):
        return None
    own = re.match(r"(tensorflow|keras|tf_keras)(\.|\Z)", module) is not None
    return SchemaViolation(what=f"{named} of the module {shown(module)}", allowed=not own)


def is_operation(value: dict[str, Any]) -> bool:
    """Whether the class is one of `keras.ops`."""
    module = value.get("module")
    return isinstance(module, str) and re.match(r"keras\.(src\.)?ops(\.|\Z)", module) is not None


def is_model_part(module: str, kind: str = "") -> bool:
    """Whether Keras has its layers and their parts in this module."""
    if _TENSORFLOW.match(module):
        return True
    if not _OWN_ROOTS.match(module):
        return False
    parts = set(module.split("."))
    if parts <= _ROOT_PARTS:
        return kind in _ROOT_CLASSES
    return bool(parts & _MODEL_PARTS) and not parts & _CLOSED_PARTS


def _package(value: dict[str, Any]) -> str | None:
    """Return the package that the object was registered under, where it is not Keras's."""
    for text in (value.get("registered_name"), value.get("class_name")):
        if isinstance(text, str) and ">" in text and text not in _OWN_CUSTOM:
            package = text.split(">", 1)[0]
            if package.lower() not in _OWN_PACKAGES:
                return package
    return None


def own_name(kind: str) -> str:
    """Return a class's name without Keras's own package before it."""
    package, _, name = kind.rpartition(">")
    return name if package.lower() in _OWN_PACKAGES or kind in _OWN_CUSTOM else kind
