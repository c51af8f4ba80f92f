"""What a Keras model's configuration would run: looked at as JSON, before Keras sees any of it.

A configuration names classes and functions by module and name, and may hold Python byte code. What
is Keras's own and computes with tensors alone is let through; the rest is found and named.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from worker.errors import SourceError

_OWN_ROOTS = re.compile(r"\A(keras|tf_keras|tensorflow\.(python\.)?keras)(\.|\Z)")
# TensorFlow's own initializers and activations, which Keras 2 names by where they are.
_TENSORFLOW = re.compile(
    r"\Atensorflow\.python\.ops\.(init_ops|init_ops_v2|(gen_)?(nn|math)_ops|nn_impl|nn)\Z"
)
_OWN_PACKAGES = frozenset({"keras", "keras.src", "tf_keras"})
# Where in Keras the parts of models are. Others (`utils`, `saving`, `datasets`) reach for files.
_MODEL_PARTS = frozenset(
    {"layers", "models", "engine", "ops", "initializers", "regularizers", "constraints"}
    | {"activations", "losses", "metrics", "optimizers", "dtype_policies", "mixed_precision"}
    | {"quantizers", "random"}
)
_BESIDE_MODELS = frozenset({"LayerScale"})  # layers that Keras keeps beside its own networks
_CLOSED_PARTS = frozenset(
    {"utils", "saving", "datasets", "export", "legacy", "backend", "trainers"}
)
_ROOT_CLASSES = frozenset(
    {"Model", "Functional", "Sequential", "DTypePolicy", "Variable", "Policy"}
)
# Classes of Keras that load and run what is elsewhere.
_REACHING = {
    "TFSMLayer": "loads a SavedModel from another place",
    "TorchModuleWrapper": "unpickles a PyTorch module",
    "JaxLayer": "runs a JAX function",
    "FlaxLayer": "runs a Flax module",
}
_VOCABULARIES = frozenset({"StringLookup", "IntegerLookup", "TextVectorization"})
# Keras 2 stores calls of TensorFlow functions as layers; these families only compute.
_CALL_LAYERS = frozenset({"TFOpLambda", "ClassMethod", "InstanceMethod"})
_COMPUTING = re.compile(
    r"\A(tf\.)?((math|nn|linalg|image|signal|bitwise|__operators__|keras\.activations"
    r"|compat\.v1\.(image|math|nn))\.[A-Za-z0-9_.]+"
    r"|abs|add|add_n|argmax|argmin|argsort|broadcast_to|cast|clip_by_value|concat|cos|cumsum"
    r"|divide|einsum|equal|exp|expand_dims|eye|fill|floor|gather|gather_nd|greater|greater_equal"
    r"|identity|less|less_equal|logical_and|logical_not|logical_or|matmul|maximum|meshgrid|minimum"
    r"|multiply|negative|norm|not_equal|one_hot|ones|ones_like|pad|pow|range|rank|realdiv"
    r"|reduce_(all|any|max|mean|min|prod|sum)|repeat|reshape|reverse|roll|round|shape|sigmoid|sign"
    r"|sin|size|slice|sort|split|sqrt|square|squeeze|stack|stop_gradient|strided_slice|subtract"
    r"|tanh|tensordot|tile|transpose|truediv|unstack|where|zeros|zeros_like"
    r"|compat\.v1\.(transpose|shape|squeeze|reduce_\w+|gather|where|pad|space_to_depth))\Z"
)
_UNUSED = frozenset({"compile_config", "training_config", "optimizer_config"})  # never loaded
_MOST_SHOWN = 3


class UnsafeSourceError(SourceError):
    """The source would bring code of its own, which is not allowed here."""

    code = "unsafe_source"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A part of a configuration that Keras would need other code for."""

    what: str  # "the layer 'crop' is a Lambda"
    marshalled: bool = False  # whether the file itself holds Python byte code
    allowed: bool = True  # whether the operator's setting can allow it


def parse_config(text: str | bytes, name: str) -> dict[str, Any]:
    """Return the configuration as JSON; raise `SourceError` where it is none."""
    try:
        config = json.loads(text)
    except RecursionError:
        raise SourceError(f"The configuration of '{name}' is nested too deeply.") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise SourceError(
            f"The configuration in '{name}' is not JSON: the file is damaged ({error})."
        ) from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise SourceError(f"The configuration in '{name}' describes no Keras model.")
    return config


def without_training(config: Any) -> Any:
    """Return a copy without what only training needs, such as custom losses of inner models."""
    if isinstance(config, dict):
        return {
            key: None if key in _UNUSED else without_training(value)
            for key, value in config.items()
        }
    if isinstance(config, list):
        return [without_training(value) for value in config]
    return config


def refuse_code(config: Any, name: str, *, allowed: bool) -> list[Finding]:
    """Return what the configuration brings of its own; raise `UnsafeSourceError` if not `allowed`.

    What reaches for other files is refused always.
    """
    found = list(dict.fromkeys(findings(config)))
    refused = [finding for finding in found if not (allowed and finding.allowed)]
    if refused:
        shown = "; ".join(finding.what for finding in refused[:_MOST_SHOWN])
        more = f"; and {len(refused) - _MOST_SHOWN} more" if len(refused) > _MOST_SHOWN else ""
        advice = (
            "An operator who trusts the file can allow it with PERMAFROST_ALLOW_KERAS_CODE=true; "
            "or export the model where it was trained, with model.export(FOLDER), and freeze the "
            "SavedModel, which needs no code."
            if all(finding.allowed for finding in refused)
            else "Export the model where it was trained, with model.export(FOLDER), and freeze "
            "the SavedModel."
        )
        raise UnsafeSourceError(
            f"'{name}' holds code that is not Keras's own, which is not loaded: {shown}{more}. "
            f"{advice}"
        )
    return found


def findings(config: Any) -> Iterator[Finding]:
    """Yield what of the configuration is not Keras's own or does more than compute."""
    waiting: list[tuple[Any, str]] = [(config, "")]
    while waiting:
        value, layer = waiting.pop()
        if isinstance(value, list):
            waiting.extend((one, layer) for one in reversed(value))
        elif isinstance(value, dict):
            inner = value.get("config")
            if isinstance(value.get("class_name"), str) and "config" in value:
                own = inner.get("name") if isinstance(inner, dict) else None
                layer = own if isinstance(own, str) else layer
                finding = _finding(value, layer)
                if finding is not None:
                    yield finding
            waiting.extend(
                (one, layer) for key, one in reversed(value.items()) if key not in _UNUSED
            )


def _finding(value: dict[str, Any], layer: str) -> Finding | None:
    kind = value["class_name"]
    inner = value["config"] if isinstance(value["config"], dict) else {}
    where = f" (in '{layer}')" if layer else ""
    if kind == "__lambda__":
        return Finding(what=f"Python byte code{where}", marshalled=True)
    if kind == "Lambda":
        by_name = isinstance(inner.get("function"), str)
        return Finding(what=f"the layer '{layer}' is a Lambda", marshalled=not by_name)
    if kind == "function":
        return _function(value, str(value["config"]), where)
    reach = _reach(kind, inner)
    if reach is not None:
        return Finding(what=f"the layer '{layer}' ({kind}) {reach}", allowed=False)
    return _class(value, kind, layer)


def _reach(kind: str, config: dict[str, Any]) -> str | None:
    """Return what a layer of Keras's own does beyond computing, or None."""
    if kind in _REACHING:
        return _REACHING[kind]
    if kind in _VOCABULARIES and isinstance(config.get("vocabulary"), str):
        return "reads a file"
    if kind in _CALL_LAYERS:
        called = str(config.get("function") or config.get("cls_symbol") or config.get("attr_name"))
        return None if _COMPUTING.match(called) else f"calls tf.{called.removeprefix('tf.')}"
    return None


def _function(value: dict[str, Any], name: str, where: str) -> Finding | None:
    module = value.get("module")
    if module in (None, "builtins") or _is_model_part(str(module)):
        # Only names that Keras knows itself are found; its own functions carry no registered name.
        package = _package(value)
        if package is None:
            return None
        return Finding(what=f"the function {name} of the package '{package}'{where}")
    return Finding(
        what=f"the function {module}.{name}{where}", allowed=not _OWN_ROOTS.match(str(module))
    )


def _class(value: dict[str, Any], kind: str, layer: str) -> Finding | None:
    named = f"the layer '{layer}' is of the class {kind}" if layer else f"the class {kind}"
    package = _package(value)
    if package is not None:
        return Finding(what=f"{named} of the package '{package}'")
    if kind.startswith("__"):  # tensors, slices and the like, which are data
        return None
    module = value.get("module", "")
    if "module" in value and module is None:
        return Finding(what=f"{named}, which is not Keras's own")
    if module and module != "builtins" and not _is_model_part(str(module), kind):
        return Finding(
            what=f"{named} of the module '{module}'", allowed=not _OWN_ROOTS.match(str(module))
        )
    return None


def _package(value: dict[str, Any]) -> str | None:
    """Return the package that the object was registered under, where it is not Keras's."""
    for text in (value.get("registered_name"), value["class_name"]):
        if isinstance(text, str) and ">" in text:
            package = text.split(">", 1)[0]
            if package.lower() not in _OWN_PACKAGES:
                return package
    return None


def _is_model_part(module: str, kind: str = "") -> bool:
    if _TENSORFLOW.match(module):
        return True
    if not _OWN_ROOTS.match(module):
        return False
    if kind in _BESIDE_MODELS and ".applications." in module:
        return True
    parts = set(module.split("."))
    if parts <= {"keras", "tf_keras", "tensorflow", "python", "src", "api"}:
        return kind in _ROOT_CLASSES
    return bool(parts & _MODEL_PARTS) and not parts & _CLOSED_PARTS
