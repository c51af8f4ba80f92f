"""Recognising files that are no TensorFlow model, with advice for their owner.

Told by content alone; nothing is unpacked, unpickled or run.
"""

import json
import os
import re
from pathlib import Path
from typing import BinaryIO

from worker import formatting
from worker.archives import zip_names
from worker.errors import SourceError
from worker.printable import printable
from worker.sources.contents import HEAD_BYTES, ZIP_MAGICS
from worker.sources.foreign_kinds import (
    AGAIN,
    CAFFE,
    CORE_ML,
    EMPTY,
    HTML,
    JSON,
    LITE,
    MAGICS,
    ONNX,
    ORIGINAL,
    OTHER,
    PYTORCH,
    SAVE_FROM_CODE,
    THROUGH_ONNX,
    ForeignKind,
)
from worker.sources.protobuf_fields import BYTES, VARINT, fields, inside, is_bytes
from worker.sources.texts import as_text

_MOST_JSON_BYTES = 16 * 2**20
_TAIL_BYTES = 512
_NOTE_BYTES = 2048  # by which a pointer or a web page is recognised
_LFS_SPECS = (
    b"version https://git-lfs.github.com/spec/",
    b"version https://hawser.github.com/spec/",
    b"version http://git-media.io/v/",
)
_LFS_SIZE = re.compile(rb"^size (\d{1,18})\s*$", re.MULTILINE)
_ANNEX = re.compile(rb"\A(\.\./)*(\.git|)/annex/objects/")
_PAGE = re.compile(
    r"\A\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype\s+html|<html\b)", re.IGNORECASE | re.DOTALL
)
_PYTHON = r"^(import|from)[ \t]+[\w.]+([ \t]+import[ \t]+.+|[ \t]+as[ \t]+\w+)?[ \t\r]*$"
# Kinds of texts, each with what tells it.
_TEXTS: tuple[tuple[re.Pattern[str], ForeignKind], ...] = (
    (_PAGE, HTML),
    (
        re.compile(r"\A\s*(<\?xml[^>]*>\s*)?<Error>", re.IGNORECASE),
        ForeignKind("an error that a server answered with", f"{AGAIN} from where it lies"),
    ),
    (
        re.compile(r"\A\s*(<\?xml[^>]*>\s*)?<net\s"),
        ForeignKind("a model of OpenVINO", ORIGINAL),
    ),
    (re.compile(r"\A\s*(#[^\n]*\n\s*)*\[net(work)?\]"), ForeignKind("a network of Darknet", OTHER)),
    (re.compile(r"^[ \t]*(layers?|input_param)[ \t]*\{", re.MULTILINE), CAFFE),
    (
        re.compile(_PYTHON, re.MULTILINE),
        ForeignKind("a Python program", "give the model that it saves, and not its code", False),
    ),
)
_OLD_PICKLE = re.compile(rb"\A(\((dp|lp)\d+\n|c[a-zA-Z_][\w.]*\n[A-Za-z_]\w*\n)")
# Whose objects a pickle names; the first that is found is said.
_PICKLED = ((b"torch", "PyTorch"), (b"sklearn", "scikit-learn"), (b"xgboost", "XGBoost"))
_EVENTS = b"brain.Event:"  # the version that TensorBoard's logs begin with


def foreign(path: Path) -> ForeignKind | None:
    """Return what the file is, if it is known and no model of TensorFlow; None where it may be.

    To be asked for files that are nothing else: `sniff` must have found nothing in them.
    """
    try:
        with path.open("rb") as file:
            return _foreign(file)
    except OSError:
        return None


def misfetched(path: Path) -> SourceError | None:
    """Return the refusal of a part of a model that is not what its name says; None where it may be.

    Of a model that lies in a repository there may be pointers of Git LFS instead of some files.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_NOTE_BYTES)
    except OSError:
        return None
    note = head.startswith(_LFS_SPECS) or _ANNEX.match(head)
    page = not note and _PAGE.match(as_text(head) or "")
    return refusal(path) if note or page else None


def refusal(path: Path) -> SourceError | None:
    """Return the sentence that says what the file is instead of a model, None if that is unknown.

    It is a `SourceError` of one sentence.
    """
    found = foreign(path)
    if found is None:
        return None
    return SourceError(f"'{printable(path.name)}' is {found.what}: {found.advice}.")


def _foreign(file: BinaryIO) -> ForeignKind | None:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(-min(size, _TAIL_BYTES), os.SEEK_END)
    tail = file.read(_TAIL_BYTES)
    if head.startswith(ZIP_MAGICS):  # of which a damaged one is an archive all the same
        return _zip(zip_names(file))
    return (
        _nothing(head, size)
        or _pointer(head, size)
        or _by_magic(head)
        or _pickle(head, tail)
        or _safetensors(head, size)
        or _events(head)
        or _protobuf(head)
        or _json(file, head, size)
        or _text(head)
    )


def _nothing(head: bytes, size: int) -> ForeignKind | None:
    if size == 0:
        return EMPTY
    if size > len(head) or head.strip(b"\0"):
        return None
    return ForeignKind("nothing but zeros", f"{AGAIN}, for its download or copy broke off", False)


def _by_magic(head: bytes) -> ForeignKind | None:
    if head[4:8] == b"TFL3":
        return LITE
    if head[257:262] == b"ustar":
        # PyTorch before 0.1.10 wrote such, with this file first.
        return PYTORCH if head[:100].rstrip(b"\0") in (b"sys_info", b"./sys_info") else None
    return next((kind for magic, kind in MAGICS if head.startswith(magic)), None)


def _pointer(head: bytes, size: int) -> ForeignKind | None:
    if _ANNEX.match(head) and size < _NOTE_BYTES:
        return ForeignKind(
            "a pointer of git-annex", "fetch the file with `git annex get`, and repeat"
        )
    if not head.startswith(_LFS_SPECS):
        return None
    named = _LFS_SIZE.search(head)
    large = f" ({formatting.size(int(named[1]))})" if named else ""
    return ForeignKind(
        f"a pointer of Git LFS, not the file itself{large}",
        "run `git lfs pull` in the repository that it comes from (https://git-lfs.com), and repeat",
    )


def _zip(names: frozenset[str]) -> ForeignKind | None:
    """Return what zip archives are that people do not take for archives."""
    ends = {name.rpartition("/")[2] for name in names}
    if "data.pkl" in ends or "constants.pkl" in ends:  # torch.save, and TorchScript
        return PYTORCH
    if names and all(name.endswith(".npy") for name in names):
        return ForeignKind("NumPy arrays", "they are numbers without layers; " + SAVE_FROM_CODE)
    if any(name.endswith(".mlmodel") for name in names) and "Manifest.json" in ends:
        return CORE_ML
    if "MAR-INF/MANIFEST.json" in names:  # an archive of TorchServe
        return PYTORCH
    return None


def _pickle(head: bytes, tail: bytes) -> ForeignKind | None:
    binary = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    if not (binary and tail.endswith(b".")) and not _OLD_PICKLE.match(head):
        return None
    for mark, made_by in _PICKLED:
        if mark in head:
            what = f"a Python pickle of {made_by}"
            break
    else:
        what = "a Python pickle"
    advice = THROUGH_ONNX if what.endswith("PyTorch") else SAVE_FROM_CODE
    return ForeignKind(f"{what}, which is never opened because it can run any code", advice)


def _safetensors(head: bytes, size: int) -> ForeignKind | None:
    """Return what begins with the length of its JSON header: github.com/huggingface/safetensors."""
    length = int.from_bytes(head[:8], "little")
    if not (2 <= length <= size - 8 and head[8:9] == b"{"):
        return None
    if b'"data_offsets"' not in head and b'"__metadata__"' not in head:
        return None
    return ForeignKind(
        "a safetensors file",
        "it holds weights and no layers; load them in the program that trained the model, and "
        "save the whole model there as a Keras file or a SavedModel",
    )


def _events(head: bytes) -> ForeignKind | None:
    """Return what TensorBoard writes: a record (8 bytes of length, 4 of checksum) of an Event."""
    if _EVENTS not in head[:64]:
        return None
    return ForeignKind(
        "a log for TensorBoard", "give the checkpoint or the model that was saved beside it", False
    )


def _protobuf(head: bytes) -> ForeignKind | None:
    """Return what ONNX, Core ML and Caffe write: onnx.proto, Model.proto and caffe.proto."""
    found = list(fields(head, 0, len(head)))
    if len(found) < 2:
        return None
    first, second = found[:2]
    if (first.number, first.kind) == (1, VARINT):
        if any(200 <= one.number < 4000 and one.kind == BYTES for one in found[1:]):
            return CORE_ML
        text = head[second.start : second.end]
        named = is_bytes(second, 2) and text.isascii() and text.decode().isprintable()
        graph = second.kind == BYTES and second.number in (3, 7, 8)
        return ONNX if named or graph else None
    if is_bytes(first, 1):
        name = head[first.start : first.end]
        if is_bytes(second, 100) and name.isascii():
            parts = list(inside(head, second))[:2]
            return CAFFE if [(one.number, one.kind) for one in parts][:1] == [(1, BYTES)] else None
        if is_bytes(second, 2) and name.isascii() and name.decode().isprintable():
            numbers = {one.number for one in inside(head, second)}
            return CAFFE if {4, 5} <= numbers else None  # a V1LayerParameter's name and type
    return None


def _text(head: bytes) -> ForeignKind | None:
    text = as_text(head)
    if text is None:
        return None
    for told_by, kind in _TEXTS:
        if told_by.search(text):
            return kind
    return ForeignKind("a text", "give the model that is to be frozen", is_model=False)


def _json(file: BinaryIO, head: bytes, size: int) -> ForeignKind | None:
    text = as_text(head)
    if text is None or text.lstrip()[:1] not in ("{", "["):
        return None
    nothing = ForeignKind("JSON and no model", "give the model that it belongs to", is_model=False)
    if size > _MOST_JSON_BYTES:
        return nothing
    file.seek(0)
    try:
        found = json.loads(file.read())
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return nothing
    return next((kind for is_kind, kind in JSON if is_kind(found)), nothing)
