"""A model small enough to be made in a test: it tells dark pictures from bright ones."""

import tempfile
from pathlib import Path

from worker.models.manifest import Manifest, ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry

LABELS = ("dark", "bright")
_SIDE = 8


def publish(models: Path, name: str = "tiny", labels: tuple[str, str] = LABELS) -> Manifest:
    """Publish the model in a registry and return its manifest."""
    draft = ManifestDraft(
        name=name,
        inputs=[Tensor(name="x:0", shape=[None, _SIDE, _SIDE, 3], dtype="float32")],
        outputs=[Tensor(name="y:0", shape=[None, 2], dtype="float32")],
        labels=list(labels),
        preprocessing=Preprocessing(size=(_SIDE, _SIDE), scale=1 / 255),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.pb"
        path.write_bytes(_graph())
        return Registry(models).publish(draft, path)


def _graph() -> bytes:
    import tensorflow as tf  # here, because most tests need none of it

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, _SIDE, _SIDE, 3], name="x")
        light = tf.reduce_mean(x, axis=[1, 2, 3])
        v1.nn.softmax(tf.stack([0.5 - light, light - 0.5], axis=1) * 8.0, name="y")
    content: bytes = graph.as_graph_def().SerializeToString()
    return content
