"""A published version as a SavedModel, composed around its frozen graph without reading it.

`SavedModel` (tensorflow/core/protobuf/saved_model.proto) holds a `MetaGraphDef` (meta_graph.proto),
and that the `GraphDef` as one length-delimited field. So the file is the graph file, byte for byte,
between a few bytes that are written here in protobuf's wire format
(https://protobuf.dev/programming-guides/encoding/). Nothing of TensorFlow or protobuf is needed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from worker.models.manifest import Manifest, Tensor

SIGNATURE = "serving_default"
_TAG = "serve"
_METHOD = "tensorflow/serving/predict"
_SCHEMA_VERSION = 1

_VARINT, _DELIMITED = 0, 2  # wire types

# tensorflow/core/framework/types.proto
_TYPES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "string": 7,
    "complex64": 8,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "uint16": 17,
    "complex128": 18,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
}


class Wrapping(NamedTuple):
    """What stands before and behind the graph file in `saved_model.pb`."""

    before: bytes
    behind: bytes


def wrapping(manifest: Manifest) -> Wrapping:
    """Return what makes the version's graph file a SavedModel.

    It has the tag `serve` and the signature `serving_default`, whose inputs and outputs are called
    as their nodes are.
    """
    meta_info = _text(4, _TAG)
    signature = b"".join(
        [
            *(_entry(1, name, _tensor_info(put)) for name, put in _named(manifest.inputs)),
            *(_entry(2, name, _tensor_info(put)) for name, put in _named(manifest.outputs)),
            _text(3, _METHOD),
        ]
    )
    behind = _entry(5, SIGNATURE, signature)
    inside = _delimited(1, meta_info) + _key(2, _DELIMITED) + _varint(manifest.bytes)
    length = len(inside) + manifest.bytes + len(behind)
    before = _key(1, _VARINT) + _varint(_SCHEMA_VERSION) + _key(2, _DELIMITED) + _varint(length)
    return Wrapping(before + inside, behind)


def _named(tensors: Sequence[Tensor]) -> list[tuple[str, Tensor]]:
    """Return the tensors with their names in the signature: `x` for `x:0`, `x_1` for `x:1`."""
    named = []
    for tensor in tensors:
        node, _, number = tensor.name.rpartition(":")
        named.append((node if number == "0" else f"{node}_{number}", tensor))
    return named


def _tensor_info(tensor: Tensor) -> bytes:
    dtype = _key(2, _VARINT) + _varint(_TYPES.get(tensor.dtype, 0))
    return _text(1, tensor.name) + dtype + _delimited(3, _shape(tensor.shape))


def _shape(sides: Sequence[int | None] | None) -> bytes:
    if sides is None:
        return _key(3, _VARINT) + _varint(1)  # unknown_rank
    return b"".join(
        _delimited(2, _key(1, _VARINT) + _varint(-1 if side is None else side)) for side in sides
    )


def _entry(field: int, key: str, value: bytes) -> bytes:
    """Return an entry of a map."""
    return _delimited(field, _text(1, key) + _delimited(2, value))


def _text(field: int, text: str) -> bytes:
    return _delimited(field, text.encode())


def _delimited(field: int, content: bytes) -> bytes:
    return _key(field, _DELIMITED) + _varint(len(content)) + content


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(number: int) -> bytes:
    rest = number % 2**64  # negative numbers are written as their two's complement
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)
