"""A model put into a registry by hand, as nobody's freeze would publish it."""

import tempfile
from pathlib import Path

from tests.support.tiny_model import LABELS
from worker.models.manifest import Manifest, ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry

_SIDE = 8


class ReachingModel:
    """It writes a marker file whenever it is run, by an op deep within its functions."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def publish(self, models: Path, name: str = "reaching") -> Manifest:
        """Put it there."""
        draft = ManifestDraft(
            name=name,
            inputs=[Tensor(name="x:0", shape=[None, _SIDE, _SIDE, 3], dtype="float32")],
            outputs=[Tensor(name="y:0", shape=[None, 2], dtype="float32")],
            labels=list(LABELS),
            preprocessing=Preprocessing(size=(_SIDE, _SIDE), scale=1 / 255),
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.pb"
            path.write_bytes(self.graph())
            return Registry(models).publish(draft, path)

    def graph(self) -> bytes:
        """Return the serialised GraphDef."""
        import tensorflow as tf  # here, because most tests need none of it

        v1 = tf.compat.v1

        def write() -> tf.Tensor:
            with tf.control_dependencies([tf.io.write_file(str(self._marker), "x")]):
                return tf.constant(1.0)

        deep = tf.function(write, input_signature=[], autograph=False)
        outer = tf.function(lambda: deep() * 1.0, input_signature=[], autograph=False)

        with tf.Graph().as_default() as graph:
            x = v1.placeholder(tf.float32, [None, _SIDE, _SIDE, 3], name="x")
            light = tf.reduce_mean(x, axis=[1, 2, 3]) * outer()
            v1.nn.softmax(tf.stack([0.5 - light, light - 0.5], axis=1) * 8.0, name="y")
        graph_def = graph.as_graph_def()
        (name,) = [
            function.signature.name
            for function in graph_def.library.function
            if any(node.op == "WriteFile" for node in function.node_def)
        ]
        content: bytes = graph_def.SerializeToString()
        # Of the same length, so that no other length in the file changes.
        return content.replace(name.encode(), b"deep".ljust(len(name), b"_"))
