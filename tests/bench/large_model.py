"""Publishes a network as large as AlexNet, 62 million parameters, with weights that mean nothing.

python -m tests.bench.large_model DATA NAME
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from worker.models.manifest import ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry

_CONVOLUTIONS = (  # kernel, stride, filters, whether pooled after it
    (11, 4, 96, True),
    (5, 1, 256, True),
    (3, 1, 384, False),
    (3, 1, 384, False),
    (3, 1, 256, True),
)
_DENSE = (4096, 4096, 1000)


def network(seed: int) -> tf.compat.v1.GraphDef:
    """Return a frozen graph from `x` (images, 227, 227, 3) to `y` (images, 1000)."""
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> tf.Tensor:
        deviation = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        return tf.constant(random.standard_normal(shape, np.float32) * deviation)

    with tf.Graph().as_default() as graph:
        source = tf.compat.v1.placeholder(tf.float32, [None, 227, 227, 3], name="x")
        value: tf.Tensor = source
        for kernel, stride, filters, pooled in _CONVOLUTIONS:
            kernels = weights(kernel, kernel, value.shape[-1], filters)
            padding = "VALID" if stride > 1 else "SAME"
            value = tf.nn.relu(tf.nn.conv2d(value, kernels, stride, padding))
            if pooled:
                value = tf.nn.max_pool2d(value, 3, 2, "VALID")
        value = tf.reshape(value, [-1, int(np.prod(value.shape[1:]))])
        for units in _DENSE:
            value = tf.matmul(value, weights(value.shape[-1], units))
            value = tf.nn.relu(value) if units != _DENSE[-1] else value
        tf.nn.softmax(value, name="y")
        return graph.as_graph_def()


def publish(data: Path, name: str) -> None:
    """Publish it as a new version of a model."""
    draft = ManifestDraft(
        name=name,
        inputs=[Tensor(name="x:0", shape=[None, 227, 227, 3], dtype="float32")],
        outputs=[Tensor(name="y:0", shape=[None, 1000], dtype="float32")],
        preprocessing=Preprocessing(size=(227, 227), scale=1 / 255),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.pb"
        path.write_bytes(network(seed=1).SerializeToString())
        Registry(data / "models").publish(draft, path)


if __name__ == "__main__":
    publish(Path(sys.argv[1]), sys.argv[2])
