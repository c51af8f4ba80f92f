"""What trained models answer in the framework that wrote them, beside what frozen graphs answer.

A program of its own, which shares no code with `freezing/`: it reads a JSON list of cases from
standard input and writes a JSON list of the largest absolute difference of each to standard output.
A case is `{"kind", "path", "input", "output", "graph", "frozen_input", "frozen_output", "shape",
"one_by_one"}`: names of tensors as the original has them and as the frozen graph has them, and the
shape of the random inputs.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import tensorflow as tf

v1 = tf.compat.v1
Array = npt.NDArray[np.float32]
Answer = Callable[[Array], Any]


def from_checkpoint(case: dict[str, Any]) -> Answer:
    """Import the whole meta graph and restore every variable, as its owner would."""
    prefix = case["path"]
    with tf.Graph().as_default() as graph:
        saver = v1.train.import_meta_graph(f"{prefix}.meta", clear_devices=True)
        session = v1.Session(graph=graph)
        saver.restore(session, prefix)
    return lambda rows: session.run(case["output"], {case["input"]: rows})


def from_saved_model(case: dict[str, Any]) -> Answer:
    """Load the SavedModel in a session, with its own loader."""
    session = v1.Session(graph=tf.Graph())
    v1.saved_model.loader.load(session, ["serve"], case["path"])
    return lambda rows: session.run(case["output"], {case["input"]: rows})


def from_saved_model_v2(case: dict[str, Any]) -> Answer:
    """Load the SavedModel's objects and call its usual signature."""
    loaded = tf.saved_model.load(case["path"])
    call = loaded.signatures["serving_default"]
    return lambda rows: call(**{case["input"]: tf.constant(rows)})[case["output"]].numpy()


def from_keras(case: dict[str, Any]) -> Answer:
    """Load the file with Keras 2, which wrote it, and predict."""
    import tf_keras

    model = tf_keras.models.load_model(case["path"], compile=False)
    return lambda rows: model(rows, training=False).numpy()


def from_graph(case: dict[str, Any]) -> Answer:
    """Import a frozen graph."""
    return _graph(Path(case["path"]), case["input"], case["output"])


def _graph(path: Path, feed: str, fetch: str) -> Answer:
    graph_def = v1.GraphDef()
    graph_def.ParseFromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    session = v1.Session(graph=graph)
    return lambda rows: session.run(fetch, {feed: rows})


KINDS: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "checkpoint": from_checkpoint,
    "saved_model": from_saved_model,
    "saved_model_v2": from_saved_model_v2,
    "keras": from_keras,
    "graph": from_graph,
}


def difference(case: dict[str, Any]) -> float:
    """Return the largest absolute difference over random inputs from 0 to 1."""
    rows = np.random.default_rng(7).random(case["shape"], dtype=np.float32)
    frozen = _graph(Path(case["graph"]), case["frozen_input"], case["frozen_output"])
    original = KINDS[case["kind"]](case)
    pieces = [rows[i : i + 1] for i in range(len(rows))] if case["one_by_one"] else [rows]
    return max(float(np.abs(np.subtract(original(p), frozen(p))).max()) for p in pieces)


if __name__ == "__main__":
    json.dump([difference(case) for case in json.load(sys.stdin)], sys.stdout)
