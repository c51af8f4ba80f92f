"""How layers are called in a functional model: which tensors each takes, and which numbers beside.

A node is kept by Keras 3 as `{"args": [...], "kwargs": {...}}` with tensors as objects, by earlier
ones as lists of `[layer, node, tensor, arguments]`.
"""

from dataclasses import dataclass, field
from typing import Any

from freezing.sources.keras_schema import values
from freezing.sources.keras_schema.parts import CHOICES
from freezing.sources.keras_schema.violations import WrongValueError, shown

_CONSTANT = "_CONSTANT_VALUE"  # in the place of a layer: a number that no layer gives
_MOST_NESTING = 12
_DTYPES = frozenset(
    {"dtype", "output_type", "out_type", "index_type", "output_dtype", "output_idx_type"}
)
# What layers of Keras take when they are called, by keyword.
LAYER_ARGUMENTS = frozenset(
    [
        "inputs",
        "input",
        "x",
        "xs",
        "y",
        "a",
        "b",
        "c",
        "image",
        "images",
        "tensor",
        "tensors",
        "sequence",
        "sequences",
        "states",
        "training",
        "mask",
        "initial_state",
        "constants",
        "query",
        "key",
        "value",
        "query_mask",
        "key_mask",
        "value_mask",
        "attention_mask",
        "return_attention_scores",
        "use_causal_mask",
        "sample_weight",
        "count_weights",
        "reverse",
        "bias",
        "indices",
        "updates",
        "start_indices",
        "start",
        "stop",
        "step",
        "fill_value",
        "x1",
        "x2",
        "condition",
        "weights",
        "constant_values",
        "kernel",
        "depthwise_kernel",
        "pointwise_kernel",
        "transform",
        "coordinates",
        "start_points",
        "end_points",
        "mean",
        "variance",
        "offset",
        "scale",
        "target",
        "output",
        "gamma",
        "beta",
        "bins",
        "q",
        "values",
        "sorted_sequence",
        "rtol",
        "atol",
        "elements",
        "operands",
        "arrays",
        "array",
        "data",
        "segment_ids",
        "num_segments",
        "predictions",
        "targets",
        "condlist",
        "choicelist",
        "default",
        "flash_attention",
    ]
)


@dataclass
class Node:
    """A call of a layer, rebuilt, and the tensors that it takes: layer and node of each."""

    call: Any
    takes: list[tuple[str, int]] = field(default_factory=list)


def read_node(node: Any, arguments: frozenset[str] | None) -> Node:
    """Read one call.

    `arguments` are the keywords that a call may get; None stands for any, of a layer that is not
    Keras's own and that an operator allows.
    Raises `WrongValueError`.
    """
    reader = _Reader(arguments)
    if isinstance(node, dict) and node.keys() <= {"args", "kwargs"} and node:
        args, kwargs = node.get("args", []), node.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise WrongValueError("not a call")
        call: Any = {
            "args": [reader.value(one, "") for one in args],
            "kwargs": reader.keywords(kwargs, 0),
        }
    else:
        call = reader.old(node, 0)
    return Node(call, reader.takes)


def read_tensors(value: Any) -> Node:
    """Read which tensors a model takes or gives: references, in lists or by name."""
    reader = _Reader(None)
    return Node(reader.references(value, 0), reader.takes)


class _Reader:
    def __init__(self, arguments: frozenset[str] | None) -> None:
        self._arguments = arguments
        self.takes: list[tuple[str, int]] = []

    def references(self, value: Any, nesting: int) -> Any:
        if nesting > _MOST_NESTING:
            raise WrongValueError("nested too deeply")
        if _is_reference(value):
            return self._reference(value)
        if isinstance(value, list):
            return [self.references(one, nesting + 1) for one in value]
        if isinstance(value, dict):
            return {_key(key): self.references(one, nesting + 1) for key, one in value.items()}
        raise WrongValueError("not a tensor of a layer")

    def old(self, value: Any, nesting: int) -> Any:
        """Read a node as Keras 2 writes it: `[layer, node, tensor, arguments]`, or several."""
        if nesting > _MOST_NESTING:
            raise WrongValueError("nested too deeply")
        if isinstance(value, dict):
            return {_key(key): self.old(one, nesting + 1) for key, one in value.items()}
        if not isinstance(value, list):
            raise WrongValueError("not a tensor of a layer")
        if not (value and isinstance(value[0], str)):
            return [self.old(one, nesting + 1) for one in value]
        if len(value) not in (3, 4):
            raise WrongValueError("not a tensor of a layer")
        keywords = []
        if len(value) == 4:
            given = value[3] or {}
            if not isinstance(given, dict):
                raise WrongValueError("not a call")
            keywords = [self.keywords(given, 0)]
        if value[0] == _CONSTANT:
            return [_CONSTANT, -1, self.value(value[2], ""), *keywords]
        return [*self._reference(value[:3]), *keywords]

    def keywords(self, given: dict[str, Any], nesting: int) -> dict[str, Any]:
        found = {}
        for key, value in given.items():
            if key == "name":  # of the op; Keras gives it another
                continue
            if self._arguments is not None and key not in self._arguments:
                raise WrongValueError(f"an argument that is not known ({shown(key)})")
            found[key] = self.value(value, key, nesting + 1)
        return found

    def value(self, value: Any, key: str, nesting: int = 0) -> Any:
        """Read what an argument is given: a tensor, numbers, or a text out of a list."""
        if nesting > _MOST_NESTING:
            raise WrongValueError("nested too deeply")
        if isinstance(value, str):
            return self._text(value, key)
        if isinstance(value, list):
            if _is_reference(value):
                return self._reference(value)
            return [self.value(one, "", nesting + 1) for one in value]
        if not isinstance(value, dict):
            return values.number(value)
        return self._object(value, nesting)

    def _object(self, value: dict[str, Any], nesting: int) -> Any:
        kind = value.get("class_name")
        inner = value.get("config")
        if kind is None:
            return self._plain_dict(value, nesting)
        if kind == "__keras_tensor__" and isinstance(inner, dict):
            return self._keras_tensor(inner)
        if kind == "__slice__" and isinstance(inner, dict):
            return {"class_name": kind, "config": self._slice(inner, nesting)}
        if kind == "__ellipsis__" and not inner and value.keys() <= {"class_name", "config"}:
            return {"class_name": kind, **({"config": {}} if "config" in value else {})}
        if kind == "__tuple__" and isinstance(value.get("items"), list):
            items = [self.value(one, "", nesting + 1) for one in value["items"]]
            return {"class_name": kind, "items": items}
        if values.is_array(value) or kind == "TensorShape":
            return values.numbers(value)
        raise WrongValueError(f"an object of the kind {shown(kind)}")

    def _plain_dict(self, value: dict[str, Any], nesting: int) -> dict[str, Any]:
        if value.keys() == {"start", "stop", "step"}:
            return self._slice(value, nesting)
        return {_key(key): self.value(one, "", nesting + 1) for key, one in value.items()}

    def _slice(self, value: dict[str, Any], nesting: int) -> dict[str, Any]:
        if value.keys() != {"start", "stop", "step"}:
            raise WrongValueError("not a slice")
        return {key: self.value(one, "", nesting + 1) for key, one in value.items()}

    def _keras_tensor(self, inner: dict[str, Any]) -> dict[str, Any]:
        if not inner.keys() <= {"shape", "dtype", "keras_history", "sparse", "name"}:
            raise WrongValueError("not a tensor of a layer")
        return {
            "class_name": "__keras_tensor__",
            "config": {
                "shape": values.integers(inner.get("shape")),
                "dtype": values.dtype_name(inner.get("dtype")),
                "keras_history": self._reference(inner.get("keras_history")),
            },
        }

    def _reference(self, value: Any) -> list[Any]:
        if not _is_reference(value):
            raise WrongValueError("not a tensor of a layer")
        layer, node, tensor = value
        if not (0 <= node < 2**20 and 0 <= tensor < 2**20):
            raise WrongValueError("not a tensor of a layer")
        found = values.name(layer)
        self.takes.append((str(found), node))
        return [found, node, tensor]

    def _text(self, value: str, key: str) -> Any:
        if key in _DTYPES:
            return values.dtype_name(value)
        if key in CHOICES:
            return values.choice(key, value)
        raise WrongValueError(f"the text {shown(value)} where a number belongs")


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and all(isinstance(one, int) and not isinstance(one, bool) for one in value[1:])
    )


def _key(key: Any) -> str:
    found = values.name(key)
    if found is None:
        raise WrongValueError("without a name")
    return found
