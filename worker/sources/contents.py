"""What a file holds, recognised by its bytes and never by its name.

Protocol buffers carry no magic number. Their first fields tell which message they are: see
saved_model.proto and meta_graph.proto in tensorflow/core/protobuf, graph.proto and node_def.proto
in tensorflow/core/framework.
"""

import mmap
import os
import re
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from worker.archives import is_compressed_file, zip_names
from worker.sources.protobuf_fields import BYTES, VARINT, ProtoField, fields, inside, is_bytes
from worker.sources.texts import protobuf_text


class FileContent(Enum):
    """What a file holds that a model may be made of, or that holds such files."""

    SAVED_MODEL = "a SavedModel"
    META_GRAPH = "a meta graph"
    GRAPH = "a graph"
    TABLE = "a checkpoint's index or old data"
    STATE = "a note of the latest checkpoint"
    HDF5 = "an HDF5 file"
    KERAS_ZIP = "a Keras file"
    ARCHIVE = "an archive"
    COMPRESSED = "a compressed file"
    UNKNOWN = "something unknown"


# What a model can be read from, by itself or with what lies beside it.
MODELS = frozenset(
    {
        FileContent.SAVED_MODEL,
        FileContent.META_GRAPH,
        FileContent.GRAPH,
        FileContent.TABLE,
        FileContent.HDF5,
        FileContent.KERAS_ZIP,
    }
)
HEAD_BYTES = 64 * 1024
# The end of a table file: tensorflow/core/lib/io/format.h, kTableMagicNumber, little-endian.
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HDF5_PLACES = (0, 512, 1024, 2048)  # where one may begin: the format allows a block before it
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
_TAR_MAGIC = slice(257, 262), b"ustar"
_KERAS_MEMBERS = frozenset({"config.json", "metadata.json"})
_KERAS_MODEL = b"model_config"  # the attribute of an HDF5 file that holds a whole model
_OP = re.compile(rb"[A-Za-z_][A-Za-z0-9_>./\-]*\Z")
# How text protocol buffers begin, behind comments: the name of a field of one message only.
_TEXT = (
    (FileContent.SAVED_MODEL, re.compile(r"(saved_model_schema_version|meta_graphs)\s*[:{]")),
    (
        FileContent.META_GRAPH,
        re.compile(r"(meta_info_def|graph_def|saver_def|collection_def)\s*:?\s*{"),
    ),
    (FileContent.STATE, re.compile(r"(all_)?model_checkpoint_path\s*:")),
    (FileContent.GRAPH, re.compile(r"(node|library|versions)\s*:?\s*{")),
)
# An op of this name: in NodeDef's field 2, before which its length stands, or in text.
_VARIABLE = re.compile(
    rb"\x12(\x08Variable|\x0aVariableV2|\x12AutoReloadVariable|\x0bVarHandleOp)(?![A-Za-z0-9])"
    rb"|op\s*:\s*[\"'](Variable|VariableV2|AutoReloadVariable|VarHandleOp)[\"']"
)


def sniff(path: Path) -> FileContent:
    """Return what the file holds; `UNKNOWN` also where it cannot be read."""
    try:
        with path.open("rb") as file:
            return _sniff(file)
    except OSError:
        return FileContent.UNKNOWN


def is_text(path: Path) -> bool:
    """Whether a protocol buffer's file is in text form."""
    with path.open("rb") as file:
        return protobuf_text(file.read(HEAD_BYTES)) is not None


def holds_variables(path: Path) -> bool:
    """Whether the file is a graph, meta graph or SavedModel with variables in it."""
    kinds = (FileContent.GRAPH, FileContent.META_GRAPH, FileContent.SAVED_MODEL)
    if sniff(path) not in kinds:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _VARIABLE.search(data) is not None


def holds_keras_model(path: Path) -> bool:
    """Whether an HDF5 file holds the layers of a Keras model, and not only weights."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(_KERAS_MODEL) >= 0


def _sniff(file: BinaryIO) -> FileContent:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if any(head[place:].startswith(_HDF5_MAGIC) for place in _HDF5_PLACES):
        return FileContent.HDF5
    packed = _packed(file, head)
    if packed is not None:
        return packed
    if size > len(_TABLE_MAGIC):
        file.seek(-len(_TABLE_MAGIC), os.SEEK_END)
        if file.read() == _TABLE_MAGIC:
            return FileContent.TABLE
    text = protobuf_text(head)
    if text is not None:
        return next((kind for kind, start in _TEXT if start.match(text)), FileContent.UNKNOWN)
    return _binary(head)


def _packed(file: BinaryIO, head: bytes) -> FileContent | None:
    """Return what kind of archive it is; None where it is none."""
    where, magic = _TAR_MAGIC
    if head.startswith(ZIP_MAGICS):
        return FileContent.KERAS_ZIP if zip_names(file) >= _KERAS_MEMBERS else FileContent.ARCHIVE
    if head.startswith(_COMPRESSED):
        return FileContent.COMPRESSED if is_compressed_file(file) else FileContent.ARCHIVE
    return FileContent.ARCHIVE if head[where] == magic else None


def _binary(head: bytes) -> FileContent:
    first = next(fields(head, 0, len(head)), None)
    if first is None:
        return FileContent.UNKNOWN
    if (first.number, first.kind) == (1, VARINT):
        return _versioned(head, list(fields(head, 0, len(head)))[1:])
    inner = next(inside(head, first), None) if first.kind == BYTES else None
    if is_bytes(first, 1) and _is_node(head, first):
        return FileContent.GRAPH
    if is_bytes(first, 1) and _is_meta_info(head, first):
        return FileContent.META_GRAPH
    if is_bytes(first, 2) and inner is not None and is_bytes(inner, 1):
        # A meta graph without its first field, or a graph of which the functions come first.
        return FileContent.META_GRAPH if _is_node(head, inner) else FileContent.GRAPH
    versions = is_bytes(first, 4) and all(part.kind == VARINT for part in inside(head, first))
    return FileContent.GRAPH if versions else FileContent.UNKNOWN


def _versioned(head: bytes, rest: list[ProtoField]) -> FileContent:
    """Return what begins with a version: only in a SavedModel do meta graphs follow alone.

    In ONNX it is the producer's name, in Core ML a description and then the kind of model.
    """
    if not rest or not all(is_bytes(one, 2) for one in rest):
        return FileContent.UNKNOWN
    text = head[rest[0].start : rest[0].end]
    printable = text.isascii() and text.decode().isprintable()
    return FileContent.UNKNOWN if rest[0].end < len(head) and printable else FileContent.SAVED_MODEL


def _is_node(head: bytes, field: ProtoField) -> bool:
    """Whether the field is a NodeDef, which begins with a name and an op."""
    parts = [part for part in inside(head, field) if part.kind == BYTES][:2]
    if [part.number for part in parts] != [1, 2]:
        return False
    name, op = (head[part.start : part.end] for part in parts)
    return bool(name) and b"\0" not in name and _OP.match(op) is not None


def _is_meta_info(head: bytes, field: ProtoField) -> bool:
    """Whether the field is a MetaInfoDef: a version, the producer's ops, tags, its versions."""
    parts = list(inside(head, field))
    texts = {1, 4, 5, 6}
    return bool(parts) and all(
        part.kind == (VARINT if part.number == 7 else BYTES)
        and part.number <= 8
        and (part.number not in texts or b"\0" not in head[part.start : part.end])
        for part in parts
    )
