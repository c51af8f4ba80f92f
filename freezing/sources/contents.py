"""What a file holds, told from its bytes and never from its name. Imports no TensorFlow.

Protocol buffers carry no magic number. Their first fields tell which message they are: see
saved_model.proto and meta_graph.proto in tensorflow/core/protobuf, graph.proto and node_def.proto
in tensorflow/core/framework, and protobuf.dev/programming-guides/encoding for how they are written.
"""

import mmap
import os
import re
import zipfile
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Content(Enum):
    """What a file holds."""

    SAVED_MODEL = "a SavedModel"
    META_GRAPH = "a meta graph"
    GRAPH = "a graph"
    TABLE = "a checkpoint's index or old data"
    STATE = "a note of the latest checkpoint"
    HDF5 = "an HDF5 file"
    KERAS_ZIP = "a Keras file"
    ARCHIVE = "an archive"
    ONNX = "an ONNX model"
    LITE = "a TensorFlow Lite model"
    UNKNOWN = "something unknown"


FOREIGN = frozenset({Content.ONNX, Content.LITE})  # made from models, and no sources

_HEAD_BYTES = 64 * 1024
# The end of a table file: tensorflow/core/lib/io/format.h, kTableMagicNumber, little-endian.
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
_LITE = slice(4, 8), b"TFL3"
_TAR_MAGIC = slice(257, 262), b"ustar"
_KERAS_MEMBERS = frozenset({"config.json", "metadata.json"})
_OP = re.compile(rb"[A-Za-z_][A-Za-z0-9_>./\-]*\Z")
# How text protocol buffers begin, behind comments: the name of a field of one message only.
_TEXT = (
    (Content.SAVED_MODEL, re.compile(r"(saved_model_schema_version|meta_graphs)\s*[:{]")),
    (
        Content.META_GRAPH,
        re.compile(r"(meta_info_def|graph_def|saver_def|collection_def)\s*:?\s*{"),
    ),
    (Content.STATE, re.compile(r"(all_)?model_checkpoint_path\s*:")),
    (Content.GRAPH, re.compile(r"(node|library|versions)\s*:?\s*{")),
)
# An op of this name: in NodeDef's field 2, before which its length stands, or in text.
_VARIABLE = re.compile(
    rb"\x12(\x08Variable|\x0aVariableV2|\x12AutoReloadVariable|\x0bVarHandleOp)(?![A-Za-z0-9])"
    rb"|op\s*:\s*[\"'](Variable|VariableV2|AutoReloadVariable|VarHandleOp)[\"']"
)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


class _Field(NamedTuple):
    number: int
    kind: int  # wire type
    start: int  # of what it holds
    end: int


def sniff(path: Path) -> Content:
    """Return what the file holds; `UNKNOWN` also where it cannot be read."""
    try:
        with path.open("rb") as file:
            return _sniff(file)
    except OSError:
        return Content.UNKNOWN


def is_text(path: Path) -> bool:
    """Whether a protocol buffer's file is in text form."""
    with path.open("rb") as file:
        return _text(file.read(_HEAD_BYTES)) is not None


def holds_variables(path: Path) -> bool:
    """Whether the file is a graph or meta graph with variables in it."""
    if sniff(path) not in (Content.GRAPH, Content.META_GRAPH):
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _VARIABLE.search(data) is not None


def _sniff(file: BinaryIO) -> Content:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if head.startswith(_HDF5_MAGIC) or head[_LITE[0]] == _LITE[1]:
        return Content.HDF5 if head.startswith(_HDF5_MAGIC) else Content.LITE
    if head.startswith(_ZIP_MAGICS):
        return _zip(file)
    where, magic = _TAR_MAGIC
    if head.startswith(_COMPRESSED) or head[where] == magic:
        return Content.ARCHIVE
    if size > len(_TABLE_MAGIC):
        file.seek(-len(_TABLE_MAGIC), os.SEEK_END)
        if file.read() == _TABLE_MAGIC:
            return Content.TABLE
    text = _text(head)
    if text is not None:
        return next((kind for kind, start in _TEXT if start.match(text)), Content.UNKNOWN)
    return _binary(head)


def _zip(file: BinaryIO) -> Content:
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, OverflowError, NotImplementedError):
        return Content.ARCHIVE
    return Content.KERAS_ZIP if names >= _KERAS_MEMBERS else Content.ARCHIVE


def _text(head: bytes) -> str | None:
    """Return the text behind leading blanks and comments, or None where it is none."""
    if b"\0" in head:
        return None
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # no character that was cut at the end
            return None
        text = head[: error.start].decode("utf-8-sig")
    text = re.sub(r"\A(\s+|#[^\n]*\n?)+", "", text)
    return text if re.match(r"[a-z_]+\s*[:{]", text) else None


def _binary(head: bytes) -> Content:
    fields = list(_fields(head, 0, len(head)))
    if not fields:
        return Content.UNKNOWN
    first = fields[0]
    if (first.number, first.kind) == (1, _VARINT):
        return _versioned(head, fields[1:])
    inner = next(_inside(head, first), None) if first.kind == _BYTES else None
    if _is_bytes(first, 1) and _is_node(head, first):
        return Content.GRAPH
    if _is_bytes(first, 1) and _is_meta_info(head, first):
        return Content.META_GRAPH
    if _is_bytes(first, 2) and inner is not None and _is_bytes(inner, 1):
        # A meta graph without its first field, or a graph of which the functions come first.
        return Content.META_GRAPH if _is_node(head, inner) else Content.GRAPH
    versions = _is_bytes(first, 4) and all(part.kind == _VARINT for part in _inside(head, first))
    return Content.GRAPH if versions else Content.UNKNOWN


def _versioned(head: bytes, fields: list[_Field]) -> Content:
    """Return what begins with a version: a SavedModel's meta graphs follow, an ONNX's producer."""
    if not fields or not _is_bytes(fields[0], 2):
        onnx = bool(fields) and fields[0].kind == _BYTES and fields[0].number in (3, 7, 8)
        return Content.ONNX if onnx else Content.UNKNOWN
    text = head[fields[0].start : fields[0].end]
    if fields[0].end < len(head) and text.isascii() and text.decode().isprintable():
        return Content.ONNX
    return Content.SAVED_MODEL


def _is_node(head: bytes, field: _Field) -> bool:
    """Whether the field is a NodeDef, which begins with a name and an op."""
    parts = [part for part in _inside(head, field) if part.kind == _BYTES][:2]
    if [part.number for part in parts] != [1, 2]:
        return False
    name, op = (head[part.start : part.end] for part in parts)
    return bool(name) and b"\0" not in name and _OP.match(op) is not None


def _is_meta_info(head: bytes, field: _Field) -> bool:
    """Whether the field is a MetaInfoDef: a version, the producer's ops, tags, its versions."""
    parts = list(_inside(head, field))
    texts = {1, 4, 5, 6}
    return bool(parts) and all(
        part.kind == (_VARINT if part.number == 7 else _BYTES)
        and part.number <= 8
        and (part.number not in texts or b"\0" not in head[part.start : part.end])
        for part in parts
    )


def _is_bytes(field: _Field, number: int) -> bool:
    return (field.number, field.kind) == (number, _BYTES)


def _inside(head: bytes, field: _Field) -> Iterator[_Field]:
    return _fields(head, field.start, min(field.end, len(head)))


def _fields(data: bytes, start: int, end: int) -> Iterator[_Field]:
    """Give the fields of a message, up to where `data` ends or is none; the last may go on."""
    while start < end:
        tag, start = _varint(data, start)
        number, kind = tag >> 3, tag & 7
        if not 1 <= number < 1000 or start > len(data):
            return
        if kind == _VARINT:
            after = _varint(data, start)[1]
        elif kind in (_FIXED64, _FIXED32):
            after = start + (8 if kind == _FIXED64 else 4)
        elif kind == _BYTES:
            length, start = _varint(data, start)
            after = start + length
        else:
            return
        yield _Field(number, kind, start, after)
        start = after


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """Return the number at `start` and where it ends; past the data where it is cut off."""
    value = shift = 0
    while start < len(data):
        byte = data[start]
        value |= (byte & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if byte < 0x80:
            return value, start
        if shift > 63:
            break
    return 0, len(data) + 1
