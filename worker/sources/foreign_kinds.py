"""Kinds of files that are no TensorFlow model: their names, and advice.

`foreign` recognises each by its content.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from worker.sources.architecture import describes_layers


class ForeignKind(NamedTuple):
    """A kind of file that cannot be frozen."""

    what: str  # "a PyTorch model"
    advice: str  # what to do, as it follows a colon
    is_model: bool = True  # whether a person may take it for the model among other files


ORIGINAL = (
    "give what it was converted from, a checkpoint, a SavedModel, a Keras file or a graph of "
    "TensorFlow"
)
AGAIN = "get the file itself again"
OTHER = (
    "it is of another framework; convert it to a SavedModel or a Keras file first, and freeze that"
)
THROUGH_ONNX = (
    "it is no TensorFlow model; export it where it was trained with torch.onnx.export, turn that "
    "into a SavedModel with the converter onnx2tf, and freeze the SavedModel"
)
SAVE_FROM_CODE = (
    "load it in the program that wrote it and save the model there with model.save('model.keras') "
    "or tf.saved_model.save(model, FOLDER)"
)
PYTORCH = ForeignKind("a PyTorch model", THROUGH_ONNX)
ONNX = ForeignKind("an ONNX model", f"{ORIGINAL}, or turn it into a SavedModel with onnx2tf")
LITE = ForeignKind("a TensorFlow Lite model", ORIGINAL)
CORE_ML = ForeignKind("a Core ML model", ORIGINAL)
CAFFE = ForeignKind("a Caffe model", OTHER)
_UNPACK = "unpack it and give the folder, or pack it as zip or tar.gz"
EMPTY = ForeignKind("empty", f"{AGAIN}, for its download or copy broke off")
HTML = ForeignKind(
    "a web page and not the file that it was to be",
    "it is what a browser or `curl` gets of a page about the file; download the file itself (on "
    "GitHub: 'Download raw file')",
)
_APPLE_DOUBLE = ForeignKind(
    "what macOS keeps beside a file of the same name without '._'", "give that file", is_model=False
)
_PICTURE = ForeignKind("a picture", "give the model that is to be frozen", is_model=False)
_DOCUMENT = "give the model that it speaks of"

# How files of a kind begin.
MAGICS: tuple[tuple[bytes, ForeignKind], ...] = (
    (b"\x00\x05\x16\x07", _APPLE_DOUBLE),
    (b"Rar!\x1a\x07", ForeignKind("a RAR archive, which is not read", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", ForeignKind("a 7z archive, which is not read", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", ForeignKind("compressed with Zstandard, which is not read", _UNPACK)),
    (b"\x04\x22\x4d\x18", ForeignKind("compressed with LZ4, which is not read", _UNPACK)),
    (b"\x1f\x9d", ForeignKind("compressed with compress (.Z), which is not read", _UNPACK)),
    (b"\x5d\x00\x00", ForeignKind("compressed with LZMA, which is not read", _UNPACK)),
    (b"LZIP", ForeignKind("compressed with lzip, which is not read", _UNPACK)),
    (b"MSCF", ForeignKind("a Windows cabinet, which is not read", _UNPACK)),
    (b"!<arch>\n", ForeignKind("an ar archive or Debian package, which is not read", _UNPACK)),
    (b"070701", ForeignKind("a cpio archive, which is not read", _UNPACK)),
    (b"hsqs", ForeignKind("a SquashFS image, which is not read", _UNPACK)),
    (
        b"\x93NUMPY",
        ForeignKind("a NumPy array", "it holds numbers and no layers; " + SAVE_FROM_CODE),
    ),
    # The number that torch.save wrote first before PyTorch 1.6, as a pickle: serialization.py.
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", PYTORCH),
    (b"GGUF", ForeignKind("a GGUF model", "it is no TensorFlow model and none for images")),
    (b"\x89PNG\r\n\x1a\n", _PICTURE),
    (b"\xff\xd8\xff", _PICTURE),
    (b"GIF8", _PICTURE),
    (b"%PDF-", ForeignKind("a PDF document", _DOCUMENT, is_model=False)),
    (b"\x7fELF", ForeignKind("a program", _DOCUMENT, is_model=False)),
    (b"MZ", ForeignKind("a Windows program", _DOCUMENT, is_model=False)),
    (b"SQLite format 3\x00", ForeignKind("a database", _DOCUMENT, is_model=False)),
    (
        b"MATLAB 5.0 MAT-file",
        ForeignKind("a MATLAB file", "it holds numbers and no TensorFlow model"),
    ),
    # An NDArray list of MXNet: src/ndarray/ndarray.cc, kMXAPINDArrayListMagic.
    (b"\x12\x01\x00\x00\x00\x00\x00\x00", ForeignKind("weights of MXNet", OTHER)),
)
# Kinds of JSON objects, each with what tells it.
JSON: tuple[tuple[Callable[[dict[str, Any]], bool], ForeignKind], ...] = (
    (
        lambda found: "cells" in found and "nbformat" in found,
        ForeignKind(
            "a Jupyter notebook", "run it and give the model that it saves", is_model=False
        ),
    ),
    (
        lambda found: found.get("format") == "layers-model" or "modelTopology" in found,
        ForeignKind(
            "a TensorFlow.js model",
            "give the Keras file or SavedModel that it was converted from; a layers model can be "
            "turned back with `tensorflowjs_converter --input_format tfjs_layers_model "
            "--output_format keras model.json model.h5`",
        ),
    ),
    (
        lambda found: found.get("format") == "graph-model" or "weightsManifest" in found,
        ForeignKind("a TensorFlow.js model", ORIGINAL),
    ),
    (lambda found: "itemInfoEntries" in found, CORE_ML),
    (
        lambda found: "arg_nodes" in found and "heads" in found,
        ForeignKind("a network of MXNet", OTHER),
    ),
    (
        describes_layers,
        ForeignKind(
            "the layers of a Keras model without its weights",
            "put the weights beside it, in the .h5 file that model.save_weights gives, and give "
            "that file",
        ),
    ),
)
