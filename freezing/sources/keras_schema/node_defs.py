"""Ops of TensorFlow 2.0 to 2.3 that a file of Keras holds as a NodeDef: read as data, rebuilt."""

import base64
import binascii
import re
from typing import Any

from freezing.sources.keras_schema import values
from freezing.sources.keras_schema.functions import NODE_OPS
from freezing.sources.keras_schema.parts import CHOICES
from freezing.sources.keras_schema.violations import WrongValueError, shown

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}")
_TYPE = re.compile(r"DT_[A-Z0-9]{1,12}")
_DIGITS = re.compile(r"-?[0-9]{1,18}")
_MOST_NODE = 1 << 20  # of the serialized NodeDef, in characters
_TEXTS = frozenset().union(*(CHOICES[name] for name in ("data_format", "padding", "mode")))


def read_node_def(value: Any) -> dict[str, Any]:
    """Return the NodeDef as protobuf's JSON has it; raise `WrongValueError` where it may not be."""
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, dict) or not value.keys() <= {"name", "op", "input", "attr", "device"}:
        raise WrongValueError("not a TensorFlow op")
    op = value.get("op")
    if not isinstance(op, str) or op not in NODE_OPS:
        raise WrongValueError(f"the TensorFlow op {shown(op)}, which is not one that only computes")
    attributes = value.get("attr", {})
    if not isinstance(attributes, dict):
        raise WrongValueError("not a TensorFlow op")
    inputs = value.get("input", [])
    if not isinstance(inputs, list):
        raise WrongValueError("not a TensorFlow op")
    return {
        "name": values.name(value.get("name")),
        "op": op,
        "input": [values.name(one) for one in inputs],
        "attr": {
            _name(key): _attribute(one)
            for key, one in attributes.items()
            if not key.startswith("_")
        },
    }


def _parsed(text: str) -> Any:
    """Read the serialized NodeDef that early versions keep as a text."""
    import tensorflow as tf  # noqa: PLC0415 - only where there is such a node
    from google.protobuf import json_format, message  # type: ignore[import-untyped]  # noqa: PLC0415

    if len(text) > _MOST_NODE:
        raise WrongValueError("too large for a TensorFlow op")
    try:
        node = tf.compat.v1.NodeDef.FromString(text.encode())
        return json_format.MessageToDict(node, preserving_proto_field_name=True)
    except (message.DecodeError, UnicodeError, json_format.Error) as error:
        raise WrongValueError("not a TensorFlow op") from error


def _attribute(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) != 1:
        raise WrongValueError("not an attribute of a TensorFlow op")
    ((kind, held),) = value.items()
    if kind == "list" and isinstance(held, dict) and len(held) <= 1:
        return {
            kind: {
                key: [_scalar(key, one) for one in _listed(found)] for key, found in held.items()
            }
        }
    return {kind: _scalar(kind, held)}


def _scalar(kind: str, value: Any) -> Any:
    known = (
        (kind == "type" and isinstance(value, str) and _TYPE.fullmatch(value))
        or (kind == "type" and isinstance(value, int) and 0 < value < 2**10)
        or (kind == "b" and isinstance(value, bool))
        or (kind == "s" and isinstance(value, str) and _decoded(value) in _TEXTS)
    )
    if known:
        return value
    if kind == "i":
        text = str(value) if isinstance(value, int) else value
        if isinstance(text, str) and _DIGITS.fullmatch(text):
            return text
    if kind == "f" and isinstance(value, int | float):
        return values.number(value)
    if kind == "shape" and isinstance(value, dict):
        return _shape(value)
    raise WrongValueError(f"an attribute of a TensorFlow op that is not known ({shown(kind)})")


def _shape(value: dict[str, Any]) -> dict[str, Any]:
    if not value.keys() <= {"dim", "unknown_rank", "unknownRank"}:
        raise WrongValueError("not a shape")
    if any(value.get(key) for key in ("unknown_rank", "unknownRank")):
        return {"unknown_rank": True}
    dims = []
    for dim in _listed(value.get("dim", [])):
        if not isinstance(dim, dict) or not dim.keys() <= {"size"}:
            raise WrongValueError("not a shape")
        dims.append({"size": _scalar("i", dim.get("size", 0))})
    return {"dim": dims}


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise WrongValueError("not a list")
    return value


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _name(key: Any) -> str:
    if not isinstance(key, str) or not _ATTRIBUTE.fullmatch(key):
        raise WrongValueError(f"an attribute of a TensorFlow op that is not known ({shown(key)})")
    return key
