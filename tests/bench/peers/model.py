"""What all peers share: a frozen graph, how an image becomes its input, and the form of an answer.

The file that `PEER_MODEL` names says how, as JSON, taken from the manifest of the version that
Permafrost serves in the same run: `graph` (path), `runtime`, `input` and `output` (tensors),
`size`, `resize`, `color`, `scale`, `mean`, `std`, `layout`, `dtype`, `batch` (null where it is
free), `scores`, `labels`.
"""

import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Array = npt.NDArray[Any]
Call = Callable[[Array], Array]

TOP = 5
# Above it TensorFlow's optimiser takes many seconds and a graph is no faster for it.
LARGE_GRAPH_BYTES = 100 * 1024 * 1024
WARM_SIZES = (1, 16, 32)  # a graph's first run of each size of batch is slow


class Model:
    """The graph, loaded once and warm; `run` is safe for threads.

    One thread inside an operation and one across operations: there are as many workers as cores,
    and with 2 threads in each of them every peer was slower.
    """

    def __init__(self, load: Callable[[dict[str, Any]], Call] | None = None) -> None:
        self.spec: dict[str, Any] = json.loads(Path(os.environ["PEER_MODEL"]).read_text())
        self.dtype = np.dtype(self.spec["dtype"])
        loaders = {"tensorflow": in_tensorflow, "onnxruntime": in_onnxruntime}
        self._call = (load or loaders[self.spec["runtime"]])(self.spec)
        for size in WARM_SIZES:
            self.run([self.prepare(_black()) for _ in range(size)])

    def prepare(self, data: bytes) -> Array:
        """Decode an upload and return one input, without its batch dimension."""
        spec = self.spec
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        image = image.convert("L" if spec["color"] == "gray" else "RGB")
        height, width = spec["size"]
        if image.size != (width, height):
            method = Image.Resampling.BILINEAR
            match spec["resize"]:
                case "crop":
                    image = ImageOps.fit(image, (width, height), method)
                case "pad":
                    image = ImageOps.pad(image, (width, height), method, color=0)
                case _:
                    image = image.resize((width, height), method)
        values: Array = np.asarray(image, np.float32)
        if spec["color"] == "bgr":
            values = values[..., ::-1]
        if spec["scale"] != 1.0:
            values = values / np.float32(1 / spec["scale"])
        if any(spec["mean"]):
            values = values - np.asarray(spec["mean"], np.float32)
        if any(one != 1.0 for one in spec["std"]):
            values = values / np.asarray(spec["std"], np.float32)
        return self._arranged(values)

    def _arranged(self, values: Array) -> Array:
        if np.issubdtype(self.dtype, np.integer):
            limits = np.iinfo(self.dtype)
            values = np.clip(np.rint(values), limits.min, limits.max)
        layout = self.spec["layout"]
        if layout == "flat":
            values = values.reshape(-1)
        elif layout != "HW":
            values = values[..., np.newaxis] if values.ndim == 2 else values
            values = values.transpose(2, 0, 1) if layout == "NCHW" else values
        return values.astype(self.dtype, copy=False)

    def run(self, inputs: Sequence[Array]) -> Array:
        """Return scores (images, classes) of inputs, run through the graph as one batch."""
        batch, fixed = np.stack(inputs), self.spec["batch"]
        if fixed is None:
            rows = self._call(batch)
        else:  # in pieces of that size, the last one filled up
            missing = -len(batch) % fixed
            filled = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)])
            pieces = range(0, len(filled), fixed)
            rows = np.concatenate([self._call(filled[at : at + fixed]) for at in pieces])
        return _scores(np.asarray(rows[: len(batch)], np.float32), self.spec["scores"])

    def answer(self, scores: Array) -> dict[str, Any]:
        """Return what is sent for one image's scores."""
        labels = self.spec["labels"]
        if len(scores) == 1 and labels is not None and len(labels) == 2:
            scores = np.array([1 - scores[0], scores[0]])
        best = np.argsort(-scores, kind="stable")[:TOP].tolist()
        return {
            "predictions": [
                {"label": labels[one] if labels else str(one), "score": float(scores[one])}
                for one in best
            ]
        }

    def classify(self, data: bytes) -> dict[str, Any]:
        """Return what is sent for one upload."""
        return self.answer(self.run([self.prepare(data)])[0])


def import_graph(spec: dict[str, Any]) -> Any:
    """Return the frozen graph as a TensorFlow graph."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(Path(spec["graph"]).read_bytes())
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    return graph


def in_tensorflow(spec: dict[str, Any]) -> Call:
    """Return what runs a batch in TensorFlow."""
    import tensorflow as tf

    graph = import_graph(spec)
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
    )
    if Path(spec["graph"]).stat().st_size > LARGE_GRAPH_BYTES:
        config.graph_options.rewrite_options.disable_meta_optimizer = True
    session = tf.compat.v1.Session(graph=graph, config=config)
    call: Call = session.make_callable(
        graph.get_tensor_by_name(spec["output"]), [graph.get_tensor_by_name(spec["input"])]
    )
    return call


def in_onnxruntime(spec: dict[str, Any]) -> Call:
    """Return what runs a batch in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        spec["graph"], options, providers=["CPUExecutionProvider"]
    )
    name, outputs = spec["input"], [spec["output"]]

    def call(batch: Array) -> Array:
        rows: Array = session.run(outputs, {name: batch})[0]
        return rows

    return call


def _scores(rows: Array, kind: str) -> Array:
    rows = rows.reshape(len(rows), -1)
    if kind == "logits":
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    if kind == "sigmoid":
        return np.asarray(0.5 * (1 + np.tanh(0.5 * rows)))
    return rows


def _black() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    return buffer.getvalue()
