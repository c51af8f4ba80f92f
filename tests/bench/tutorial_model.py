"""Publishes the tutorial's dog/cat network from its checkpoint, frozen as TF1 does it."""

import sys
import tempfile
from pathlib import Path

import tensorflow as tf

from worker.models.manifest import ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry

v1 = tf.compat.v1


def publish(checkpoint: Path, data: Path) -> None:
    """Freeze the checkpoint with this prefix and publish it as `dogs-cats`."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.train.import_meta_graph(f"{checkpoint}.meta", clear_devices=True).restore(
            session, str(checkpoint)
        )
        frozen = v1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), ["y_pred"]
        )
    draft = ManifestDraft(
        name="dogs-cats",
        inputs=[Tensor(name="x:0", shape=[None, 128, 128, 3], dtype="float32")],
        outputs=[Tensor(name="y_pred:0", shape=[None, 2], dtype="float32")],
        labels=["dogs", "cats"],
        preprocessing=Preprocessing(size=(128, 128), scale=1 / 255),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.pb"
        path.write_bytes(frozen.SerializeToString())
        Registry(data / "models").publish(draft, path)


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(sys.argv[2]))
