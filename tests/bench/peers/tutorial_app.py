"""The web app of the tutorial "Freeze TensorFlow models and serve on web".

    python -m tests.bench.peers.tutorial_app PORT

The graph is loaded once; each upload is written to a folder, read back, and run in a session of its
own; Flask's own development server answers. It differs from the tutorial's in that it resizes with
Pillow as the others do, because otherwise its answers could not be compared, and answers in JSON.
"""

import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import tensorflow as tf
from flask import Flask, Response, jsonify, request
from werkzeug.utils import secure_filename

from tests.bench.peers.model import Array, Call, Model, import_graph

app = Flask(__name__)
uploads = Path(tempfile.mkdtemp(prefix="uploads-"))


def load(spec: dict[str, Any]) -> Call:
    """Load the graph; each call makes a session, as the tutorial's function does."""
    app.graph = import_graph(spec)  # type: ignore[attr-defined] # where the tutorial keeps it

    def run(batch: Array) -> Array:
        graph = app.graph  # type: ignore[attr-defined]
        x = graph.get_tensor_by_name(spec["input"])
        y_pred = graph.get_tensor_by_name(spec["output"])
        session = tf.compat.v1.Session(graph=graph)
        rows: Array = session.run(y_pred, feed_dict={x: batch})
        return rows

    return run


model = Model(load)


@app.get("/health")
def health() -> Response:
    return jsonify(status="ok")


@app.post("/predict")
def predict() -> Response:
    file = request.files["image"]
    # Its name alone is not enough where many send at once.
    path = uploads / f"{uuid.uuid4().hex}-{secure_filename(file.filename or 'image')}"
    file.save(path)
    return jsonify(model.classify(path.read_bytes()))


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]))
