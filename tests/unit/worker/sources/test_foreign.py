"""What is no model of TensorFlow is called by its name, by its content alone."""

import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.errors import SourceError
from worker.sources.contents import FileContent, sniff
from worker.sources.foreign import refusal
from worker.sources.locate import locate

HEADER = b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return stream.getvalue()


def tarred(name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


def field(number: int, content: bytes) -> bytes:
    tag = number << 3 | 2
    head = bytes([tag]) if tag < 128 else bytes([tag & 0x7F | 0x80, tag >> 7])
    return head + bytes([len(content)]) + content


KINDS = {
    "a pointer of Git LFS, not the file itself (98.8 MB)": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 98765432\n"
    ),
    "a pointer of git-annex": b"/annex/objects/SHA256E-s98--4d7a.h5\n",
    "empty": b"",
    "nothing but zeros": bytes(4000),
    "a web page and not the file": b"\n<!DOCTYPE html>\n<html><title>404</title></html>",
    "an error that a server answered": b'<?xml version="1.0"?>\n<Error><Code>No</Code></Error>',
    "a PyTorch model": zipped("archive/data.pkl", "archive/data/0", "archive/version"),
    "a PyTorch model: ": b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
    "a PyTorch model: it": tarred("sys_info"),
    "a Python pickle, which is never opened": pickle.dumps({"a": 1}),
    "a Python pickle, which is never": pickle.dumps({"a": 1}, protocol=0),
    "a Python pickle of scikit-learn": b"\x80\x04\x95\x10csklearn.svm\nSVC\n.",
    "a safetensors file": len(HEADER).to_bytes(8, "little") + HEADER + bytes(4),
    "an ONNX model": b"\x08\x07\x12\x07pytorch\x1a\x031.9:\x04\x0a\x02\x0a\x00",
    "a TensorFlow Lite model": b"\x1c\x00\x00\x00TFL3" + bytes(20),
    "a Core ML model": b"\x08\x04"
    + field(2, field(1, field(1, b"image")))
    + field(500, b"\x0a\x00"),
    "a Core ML model: ": json.dumps({"fileFormatVersion": "1", "itemInfoEntries": {}}).encode(),
    "a Caffe model": field(1, b"LeNet") + field(100, field(1, b"conv1") + field(2, b"Convolution")),
    "a Caffe model: ": b'name: "LeNet"\nlayer {\n  name: "data"\n  type: "Input"\n}\n',
    "a NumPy array": b"\x93NUMPY\x01\x00",
    "NumPy arrays": zipped("arr_0.npy", "arr_1.npy"),
    "a Jupyter notebook": json.dumps({"cells": [], "metadata": {}, "nbformat": 4}).encode(),
    "a TensorFlow.js model": json.dumps({"format": "layers-model", "modelTopology": {}}).encode(),
    "the layers of a Keras model without its weights": (
        json.dumps({"class_name": "Sequential", "config": {"layers": []}}).encode()
    ),
    "JSON and no model": b'{"epochs": 3}',
    "a RAR archive, which is not read": b"Rar!\x1a\x07\x01\x00" + bytes(20),
    "a 7z archive, which is not read": b"7z\xbc\xaf\x27\x1c" + bytes(20),
    "compressed with Zstandard, which is not read": b"\x28\xb5\x2f\xfd" + bytes(20),
    "a log for TensorBoard": (
        b"\x18"
        + bytes(11)
        + b"\x09\x00\x00\x00\x00\x00\x00\xf0\x41\x1a\x0dbrain.Event:2"
        + bytes(4)
    ),
    "a Python program": b"import keras\n\nmodel = keras.Sequential()\n",
    "what macOS keeps beside a file": b"\x00\x05\x16\x07\x00\x02\x00\x00" + bytes(70),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(30),
    "a text": b"epoch 1: 93 %\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_called_by_its_name_with_what_to_do(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "saved.h5"
    file.write_bytes(KINDS[kind])
    assert sniff(file) in (FileContent.UNKNOWN, FileContent.ARCHIVE)
    with pytest.raises(SourceError) as refused:
        locate(file)
    message = refused.value.message
    assert message.startswith(f"'saved.h5' is {kind}")
    said, _, advice = message.partition(": ")
    assert said
    assert len(advice) > 10
    assert message.count("\n") == 0
    assert message.endswith(".")


def test_in_a_folder_it_is_named_where_there_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("My model")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "net.pt").write_bytes(KINDS["a PyTorch model"])
    with pytest.raises(SourceError, match=r"There is no model.*'net\.pt' is a PyTorch model"):
        locate(tmp_path)
    (tmp_path / "graph.pb").write_bytes(b"\x0a\x0e\x0a\x05dense\x12\x05Const")
    assert locate(tmp_path).model == tmp_path / "graph.pb"


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_what_is_compressed_by_itself_is_told_from_an_archive(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "a").write_bytes(pack(b"\x0a\x0e\x0a\x05dense\x12\x05Const"))
    (tmp_path / "b").write_bytes(pack(tarred("model.pb")))
    assert sniff(tmp_path / "a") is FileContent.COMPRESSED
    assert sniff(tmp_path / "b") is FileContent.ARCHIVE


@pytest.mark.parametrize(
    "content",
    [
        b"\x0a\x0e\x0a\x05dense\x12\x05Const",
        b"\x89HDF\r\n\x1a\n" + bytes(500),
        b"\x08\x01\x12\x17\x0a\x15\x0a\x05dense\x12\x0cVariableV2xx",
        b'model_checkpoint_path: "m"\n',
        b"tensors" + bytes.fromhex("57fb808b247547db"),
    ],
)
def test_models_are_not_called_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert sniff(tmp_path / "file") is not FileContent.UNKNOWN


def test_a_directory_of_a_zip_without_end_is_no_directory(tmp_path: Path) -> None:
    for rest in (bytes(100), b"", b"as a text"):
        (tmp_path / "x.zip").write_bytes(b"PK\x03\x04" + rest)
        assert sniff(tmp_path / "x.zip") is FileContent.ARCHIVE
        assert refusal(tmp_path / "x.zip") is None


@pytest.mark.parametrize("name", ["keras_metadata.pb", "fingerprint.pb"])
def test_what_only_tells_about_a_saved_model_says_what_to_give(tmp_path: Path, name: str) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    (tmp_path / name).write_bytes(b"\x0a\x04root")
    with pytest.raises(SourceError, match="give the folder that it lies in"):
        locate(tmp_path / name)
