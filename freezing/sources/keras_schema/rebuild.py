"""A Keras configuration, read by the lists of this folder and written anew.

What comes out holds nothing of what went in but names of layers, numbers, and texts out of lists:
classes and modules are written as the lists have them. What is not on the lists is a
`SchemaViolation`; only where the operator trusts the file is it handed on as it stands.
"""

from typing import Any

from freezing.sources.keras_schema import heads, values
from freezing.sources.keras_schema.calls import LAYER_ARGUMENTS, read_node, read_tensors
from freezing.sources.keras_schema.config_reader import OPERATION_PREFIX, plain
from freezing.sources.keras_schema.field_kinds import fields_of
from freezing.sources.keras_schema.fields import PART_KEYS, FieldReading
from freezing.sources.keras_schema.functions import FUNCTIONS, SLICING
from freezing.sources.keras_schema.layer_order import (
    MOST_CALLS,
    Calls,
    ConfiguredLayer,
    check_order,
)
from freezing.sources.keras_schema.layers import ANY, CELLS, LAYERS, REACHING, TENSORFLOW_LAYERS
from freezing.sources.keras_schema.operations import MODULES, OPERATIONS
from freezing.sources.keras_schema.violations import SchemaViolation, WrongValueError, shown

# Classes that Keras keeps elsewhere than its layers; it is given them by these names.
GIVEN = frozenset(
    {"Functional", "LayerScale", "StochasticDepth", "CustomScaleLayer", *TENSORFLOW_LAYERS}
    | {"SyncBatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2"}
    | {"GRUV1", "GRUV2", "LSTMV1", "LSTMV2"}
    | {"GRUCellV1", "GRUCellV2", "LSTMCellV1", "LSTMCellV2"}
)
_MODELS = frozenset({"Functional", "Model", "Sequential"})
_MODEL_FIELDS = fields_of(
    "name trainable dtype batch_input_shape build_input_shape input_layers:tensors "
    "output_layers:tensors"
)
_LAYERS = {
    **{kind: fields_of(f"{ANY} {text}") for kind, text in {**LAYERS, **CELLS}.items()},
    **{kind: fields_of(f"{ANY} {text}") for kind, text in TENSORFLOW_LAYERS.items()},
}
_UNUSED = frozenset({"compile_config", "training_config", "optimizer_config"})  # never loaded
_ENTRY_KEYS = PART_KEYS | _UNUSED | {"build_config", "name", "inbound_nodes"}
_TOP_KEYS = _ENTRY_KEYS | {"keras_version", "backend"}
_MOST_NESTING = 30  # of layers in layers
_MOST_LISTS = 100  # in lists, of what is not Keras's own
_MOST_LAYERS = 100_000
_DATA = frozenset(
    {"__tuple__", "__numpy__", "__tensor__", "__slice__", "__ellipsis__", "__keras_tensor__"}
)


def rebuild(config: Any) -> tuple[Any, list[SchemaViolation]]:
    """Return the configuration of a model, written anew, and what of it is not on the lists."""
    reading = _LayerReading()
    model = reading.layer(config)
    return model, list(dict.fromkeys(reading.findings))


class _LayerReading(FieldReading):
    """Reads layers and models, and what is in them."""

    def __init__(self) -> None:
        super().__init__()
        self._nesting = 0
        self._layers_read = 0

    def layer(self, value: Any, *, only: frozenset[str] | None = None) -> Any:
        """Read a layer or model; `only` are the classes that may stand here."""
        if not isinstance(value, dict) or not isinstance(value.get("class_name"), str):
            self._note(f"{shown(value)} where a layer belongs{self._where()}")
            return None
        outer, self._layer = self._layer, _name_of(value) or self._layer
        self._nesting += 1
        self._layers_read += 1
        self._calls = 1
        try:
            if self._nesting > _MOST_NESTING or self._layers_read > _MOST_LAYERS:
                self._note("more layers, or more layers in layers, than can be loaded")
                return None
            return self._entry(value, heads.own_name(value["class_name"]), only)
        finally:
            self._layer = outer
            self._nesting -= 1

    def _entry(self, value: dict[str, Any], kind: str, only: frozenset[str] | None) -> Any:
        what = f"the layer '{plain(self._layer)}'" if self._layer else "a layer"
        finding = _why_not(value, kind, what, only)
        if finding is not None:
            return self._foreign(value, finding)
        keys = _TOP_KEYS if self._nesting == 1 else _ENTRY_KEYS
        inner = value.get("config")
        if kind == "Sequential" and isinstance(inner, list):
            inner = {"layers": inner}
        if value.keys() - keys or not isinstance(inner, dict | None):
            beside = sorted(value.keys() - keys)
            more = f" has {shown(beside[0])} beside its fields" if beside else " has no fields"
            self._note(f"{what} ({kind}){more}")
            return None
        found = self._head(value, kind)
        if kind in _MODELS:
            found["config"] = self._model(inner or {}, kind)
        else:
            known = _operation_fields(kind) if _is_operation(value, kind) else _LAYERS[kind]
            found["config"] = self._fields(inner or {}, known, kind)
        if value.get("build_config") is not None:
            shapes = value["build_config"]
            found["build_config"] = self._checked("build_config", kind, values.shapes, shapes)
        return found

    def _head(self, value: dict[str, Any], kind: str) -> dict[str, Any]:
        """Return how Keras is to find the class: as the lists have it."""
        found: dict[str, Any] = {"class_name": kind}
        is_operation = _is_operation(value, kind)
        if "module" in value:
            module = "keras" if kind in _MODELS else "keras.layers"
            found["module"] = MODULES[kind] if is_operation else module
            found["registered_name"] = kind if kind in GIVEN else None
        elif is_operation:
            found["class_name"] = OPERATION_PREFIX + kind
        for key, reader in (("name", values.name), ("shared_object_id", values.identity)):
            if key in value:
                found[key] = self._checked(key, kind, reader, value[key])
        return found

    def _model(self, inner: dict[str, Any], kind: str) -> dict[str, Any]:
        layers = inner.get("layers")
        if not isinstance(layers, list):
            self._note(f"the model '{plain(self._layer)}' has no list of layers")
            return {}
        others = {key: one for key, one in inner.items() if key != "layers"}
        found = self._fields(others, _MODEL_FIELDS, kind)
        written, calls, total = [], {}, 0
        for entry in layers:
            layer = self.layer(entry)
            each = self._calls
            if kind != "Sequential" and isinstance(layer, dict):
                layer["name"] = name = self._checked(
                    "name", kind, values.name, entry.get("name") or _name_of(entry)
                )
                calls[str(name)] = self._nodes(entry, layer, str(name))
                each *= max(1, len(calls[str(name)].calls))
            written.append(layer)
            total += each
        if total > MOST_CALLS:
            self._note(f"more than {MOST_CALLS} calls of layers, too many to be loaded")
        elif kind != "Sequential" and not self.findings:
            self._checked("layers", kind, lambda _: _check(calls, inner), None)
        self._calls = min(total, MOST_CALLS)
        return {**found, "layers": written}

    def _nodes(self, entry: dict[str, Any], layer: dict[str, Any], name: str) -> ConfiguredLayer:
        """Read how a layer of a functional model is called, into `layer`; return what it takes."""
        outer, self._layer = self._layer, name
        kind = str(layer.get("class_name"))
        arguments = _arguments(kind, layer.get("config"))
        nodes = entry.get("inbound_nodes") or []
        if not isinstance(nodes, list):
            self._note(f"the calls of the layer '{plain(name)}' are no list")
            nodes = []
        found = [
            read
            for node in nodes
            if (
                read := self._checked(
                    "inbound_nodes", kind, lambda a: read_node(a, arguments), node
                )
            )
        ]
        layer["inbound_nodes"] = [node.call for node in found]
        self._layer = outer
        return ConfiguredLayer(
            calls=[node.takes for node in found],
            is_input=kind == "InputLayer",
            is_model=kind in _MODELS,
            counts_from_one=_counts_from_one(layer, nodes),
        )

    def _foreign(self, value: dict[str, Any], finding: SchemaViolation) -> Any:
        """Note what is not Keras's own; what it holds is looked at nevertheless."""
        self.findings.append(finding)
        self._calls = 1
        return {
            key: None if key in _UNUSED else self._loosely(one, 0) for key, one in value.items()
        }

    def _loosely(self, value: Any, nesting: int) -> Any:
        """Copy what a class that is not Keras's own is made of, and read the layers in it."""
        if nesting > _MOST_LISTS:
            self._note("more lists in lists than can be loaded")
            return None
        if isinstance(value, list):
            return [self._loosely(one, nesting + 1) for one in value]
        if not isinstance(value, dict):
            return value
        kind = value.get("class_name")
        if isinstance(kind, str) and "config" in value and kind not in _DATA:
            kind = heads.own_name(kind)
            if kind == "__lambda__":
                what = f"Python byte code{self._where()}"
                self.findings.append(SchemaViolation(what=what, marshalled=True, allowed=True))
            elif kind.startswith("__") or kind in REACHING or _is_known(value, kind):
                return self.layer(value)
        return {key: self._loosely(one, nesting + 1) for key, one in value.items()}


def _why_not(
    value: dict[str, Any], kind: str, what: str, only: frozenset[str] | None
) -> SchemaViolation | None:
    """Return why an object is no layer that may stand here, or None."""
    inner = value.get("config")
    if kind == "Lambda":
        by_name = isinstance(inner, dict) and isinstance(inner.get("function"), str)
        return SchemaViolation(what=f"{what} is a Lambda", allowed=True, marshalled=not by_name)
    if kind == "__lambda__":
        return SchemaViolation(what=f"Python byte code in {what}", allowed=True, marshalled=True)
    if kind in REACHING:
        return SchemaViolation(what=f"{what} ({kind}) {REACHING[kind]}")
    if kind.startswith("__"):
        return SchemaViolation(what=f"{what} is an object of the kind {shown(kind)}")
    named = f"{what} is of the class {plain(kind)}"
    finding = heads.foreign(value, named)
    if finding is None and not _is_known(value, kind):
        finding = SchemaViolation(
            what=f"{named}, which is not among the layers that are known",
            allowed="module" not in value,
        )
    if finding is None and only is not None and kind not in only:
        finding = SchemaViolation(what=f"{what} ({kind}) stands where no such layer belongs")
    return finding


def _is_known(value: dict[str, Any], kind: str) -> bool:
    if heads.is_operation(value):
        return kind in OPERATIONS
    return kind in _LAYERS or kind in _MODELS or _is_operation(value, kind)


def _is_operation(value: dict[str, Any], kind: str) -> bool:
    """Whether this is an operation of Keras 3; its HDF5 files have them by their class alone."""
    if kind not in OPERATIONS or "module" in value:
        return kind in OPERATIONS and heads.is_operation(value)
    nodes, inner = value.get("inbound_nodes"), value.get("config")
    return (
        isinstance(inner, dict)
        and "trainable" not in inner
        and isinstance(nodes, list)
        and any(isinstance(node, dict) for node in nodes)
    )


def _operation_fields(kind: str) -> dict[str, str]:
    return {**fields_of(OPERATIONS[kind], others="numbers"), "name": "name"}


def _arguments(kind: str, config: Any) -> frozenset[str] | None:
    """Return the keywords that a call of such a layer may get; None where its class is foreign."""
    if kind in TENSORFLOW_LAYERS:
        name = config.get("function") if isinstance(config, dict) else None
        known = SLICING if kind == "SlicingOpLambda" else FUNCTIONS
        return known.get(str(name), frozenset())
    own = kind in _LAYERS or kind in OPERATIONS or kind in _MODELS
    return LAYER_ARGUMENTS if own or kind.startswith(OPERATION_PREFIX) else None


def _counts_from_one(layer: dict[str, Any], nodes: list[Any]) -> bool:
    """Whether the first call of an inner model has the number 1, as that of its own input has 0."""
    inner = layer.get("config")
    first = inner["layers"][:1] if isinstance(inner, dict) and inner.get("layers") else []
    return (
        layer.get("class_name") in ("Functional", "Model")
        and all(isinstance(node, list) for node in nodes)
        and [one and one.get("class_name") for one in first] == ["InputLayer"]
    )


def _check(calls: Calls, inner: dict[str, Any]) -> None:
    """Raise `WrongValueError` where a functional model cannot be put together."""
    ends = []
    for key in ("input_layers", "output_layers"):
        if key not in inner:
            raise WrongValueError(f"without {key}")
        ends += read_tensors(inner[key]).takes
    check_order(calls, ends)


def _name_of(value: dict[str, Any]) -> str:
    inner = value.get("config")
    own = inner.get("name") if isinstance(inner, dict) else None
    own = value.get("name") if own is None else own
    return own if isinstance(own, str) else ""
