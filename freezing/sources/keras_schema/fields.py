"""The fields of layers: each read by its kind, into a value that is written anew."""

from abc import ABC, abstractmethod
from typing import Any

from freezing.sources.keras_schema import heads, values
from freezing.sources.keras_schema.calls import read_tensors
from freezing.sources.keras_schema.config_reader import ConfigReader, plain
from freezing.sources.keras_schema.field_kinds import fields_of
from freezing.sources.keras_schema.functions import FUNCTIONS, SLICING
from freezing.sources.keras_schema.layers import CELLS, REACHING
from freezing.sources.keras_schema.node_defs import read_node_def
from freezing.sources.keras_schema.parts import (
    ACTIVATION_LAYERS,
    ACTIVATIONS,
    CONSTRAINTS,
    DTYPE_POLICIES,
    INITIALIZERS,
    QUANTIZATIONS,
    QUANTIZERS,
    REGULARIZERS,
    SEED_GENERATORS,
)
from freezing.sources.keras_schema.violations import SchemaViolation, shown

PART_KEYS = frozenset({"class_name", "config", "module", "registered_name", "shared_object_id"})
_LEGACY_SUFFIX = "_v2"  # of "softmax_v2", as TensorFlow once called its own

# The classes of each kind of part, and the module that Keras 2 and 3 find them in.
_PARTS: dict[str, tuple[str, dict[str, str]]] = {
    "initializer": ("keras.initializers", INITIALIZERS),
    "regularizer": ("keras.regularizers", REGULARIZERS),
    "constraint": ("keras.constraints", CONSTRAINTS),
    "dtype": ("keras", DTYPE_POLICIES),
    "seed": ("keras.random", SEED_GENERATORS),
    "quantization": ("keras.quantizers", QUANTIZATIONS),
    "quantizer": ("keras.quantizers", QUANTIZERS),
}
_OTHER_MODULES = {
    "Policy": "keras.mixed_precision",
    **dict.fromkeys(
        ("QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy", "FloatDTypePolicy"),
        "keras.dtype_policies",
    ),
}
_BY_NAME = frozenset({"initializer", "regularizer", "constraint"})  # that a text may name


class FieldReading(ConfigReader, ABC):
    """Reads the fields of layers, operations and their parts."""

    @abstractmethod
    def layer(self, value: Any, *, only: frozenset[str] | None = None) -> Any:
        """Read a layer or model; `only` are the classes that may stand here."""

    @abstractmethod
    def _foreign(self, value: dict[str, Any], finding: SchemaViolation) -> Any:
        """Note what is not Keras's own, and return it as it is."""

    def _fields(self, inner: dict[str, Any], known: dict[str, str], of: str) -> dict[str, Any]:
        """Read the fields of an object of the class `of`; `known` are their kinds."""
        found, calls = {}, 1
        for field, value in inner.items():
            if field not in known:
                what = f"the field {shown(field)} of {self._what(of)}, which it does not have"
                self.findings.append(SchemaViolation(what=what, unknown_field=True))
                continue
            self._calls = 1
            found[field] = None if value is None else self._field(field, known[field], of, value)
            calls = max(calls, self._calls)
        self._calls = 2 * calls if of == "Bidirectional" else calls
        return found

    def _field(self, field: str, kind: str, of: str, value: Any) -> Any:
        reader = values.READERS.get(kind)
        if kind == "choice" and isinstance(value, dict) and field == "activation_quantizer":
            kind = "quantizer"
        if kind == "choice":
            reader = lambda one: values.choice(field, one)  # noqa: E731 - as those of READERS
        elif kind == "tensors":
            reader = lambda one: read_tensors(one).call  # noqa: E731
        elif kind == "node_def":
            reader = read_node_def
        if reader is not None:
            return self._checked(field, of, reader, value)
        if kind in _PARTS:
            return self._part(kind, field, of, value)
        if kind == "activation":
            return self._activation(field, of, value)
        if kind in ("layer", "layers"):
            return self._layers(field, of, value, only=None)
        if kind in ("cell", "cells"):
            return self._layers(field, of, value, only=frozenset(CELLS))
        return self._function(of, value)

    def _layers(self, field: str, of: str, value: Any, *, only: frozenset[str] | None) -> Any:
        """Read the layer that is inside of another, or several where the field is a plural."""
        if not field.endswith("s"):
            return self.layer(value, only=only)
        if not isinstance(value, list):
            self._note(f"{field} of {self._what(of)} is no list")
            return value
        written, calls = [], 0
        for one in value:
            written.append(self.layer(one, only=only))
            calls += self._calls
        self._calls = max(calls, 1)
        return written

    def _part(self, kind: str, field: str, of: str, value: Any) -> Any:
        """Read an initializer, a regularizer, a policy and the like: by name or with fields."""
        if not isinstance(value, dict) or (kind == "seed" and values.is_array(value)):
            return self._part_by_name(kind, field, of, value)
        module, table = _PARTS[kind]
        what = f"{field} of {self._what(of)}"
        name = heads.own_name(str(value.get("class_name")))
        inner = value.get("config")
        finding = heads.foreign(value, f"{what} is of the class {plain(name)}")
        if finding is None and name == "function" and isinstance(inner, str) and inner in table:
            return inner
        if finding is None and name not in table:
            finding = SchemaViolation(
                what=f"{what} is {shown(name)}, which is no {kind} of Keras",
                allowed=name not in REACHING and not name.startswith("__"),
            )
        if finding is not None:
            return self._foreign(value, finding)
        if value.keys() - PART_KEYS or not isinstance(inner, dict | None):
            self._note(f"{what} has no fields as {name} has them")
            return None
        found: dict[str, Any] = {
            "class_name": name,
            "config": self._fields(inner or {}, fields_of(table[name]), name),
        }
        if "module" in value:
            found |= {"module": _OTHER_MODULES.get(name, module), "registered_name": None}
        if "shared_object_id" in value:
            shared = value["shared_object_id"]
            found["shared_object_id"] = self._checked(field, of, values.identity, shared)
        return found

    def _part_by_name(self, kind: str, field: str, of: str, value: Any) -> Any:
        if kind == "seed":
            return self._checked(field, of, values.numbers, value)
        if kind == "dtype":
            return self._checked(field, of, values.dtype_name, value)
        known = kind in _BY_NAME and isinstance(value, str)
        if known and value in _PARTS[kind][1]:
            return str(value)
        what = f"{field} of {self._what(of)} is {shown(value)}, which is no {kind} of Keras"
        self._note(what, allowed=known)
        return value if known else None

    def _activation(self, field: str, of: str, value: Any) -> Any:
        kind = value.get("class_name") if isinstance(value, dict) else "function"
        if kind != "function":
            return self.layer(value, only=ACTIVATION_LAYERS)
        name = value.get("config") if isinstance(value, dict) else value
        name = name.removesuffix(_LEGACY_SUFFIX) if isinstance(name, str) else name
        finding = None
        if isinstance(value, dict):
            finding = heads.foreign(value, f"the function {plain(str(name))}{self._where()}")
        if finding is None and (not isinstance(name, str) or name not in ACTIVATIONS):
            finding = SchemaViolation(
                what=f"{field} of {self._what(of)} is {shown(name)}, which is no activation of "
                "Keras",
                allowed=isinstance(name, str),
            )
        if finding is None:
            return name
        if isinstance(value, dict):
            return self._foreign(value, finding)
        self.findings.append(finding)
        return value if finding.allowed else None

    def _function(self, of: str, value: Any) -> Any:
        """Read the TensorFlow function that a layer of Keras 2 calls."""
        name = value.removeprefix("tf.") if isinstance(value, str) else ""
        if name in (SLICING if of == "SlicingOpLambda" else FUNCTIONS):
            return name
        self._note(f"{self._what(of)} calls tf.{plain(name or str(value))}")
        return None
