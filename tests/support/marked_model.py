"""A model whose answers say which version gave them, and how to publish many of it cheaply."""

import tempfile
from functools import cache
from pathlib import Path

from worker.models.manifest import Manifest, ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry

LABELS = ("mark", "rest")
_SIDE = 8
_MARK = -1.0  # in the template; no other constant holds it
_PADDING = 500_000  # numbers of 4 bytes, so that a graph that is never freed shows


def score(version: int) -> float:
    """Return what version `version` says of `mark`, whatever the image."""
    return version / 1024  # exact in float32


def publish(registry: Registry, name: str, version: int, alias: str = "stable") -> Manifest:
    """Publish the next version, which must be `version`."""
    draft = ManifestDraft(
        name=name,
        inputs=[Tensor(name="x:0", shape=[None, _SIDE, _SIDE, 3], dtype="float32")],
        outputs=[Tensor(name="y:0", shape=[None, 2], dtype="float32")],
        labels=list(LABELS),
        preprocessing=Preprocessing(size=(_SIDE, _SIDE)),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.pb"
        path.write_bytes(_graph(version))
        manifest = registry.publish(draft, path, alias)
    assert manifest.version == version
    return manifest


def _graph(version: int) -> bytes:
    import tensorflow as tf  # here, because most tests need none of it

    graph_def = tf.compat.v1.GraphDef.FromString(_template())
    (mark,) = [node for node in graph_def.node if node.name == "mark"]
    mark.attr["value"].tensor.float_val[:] = [score(version)]
    content: bytes = graph_def.SerializeToString()
    return content


@cache
def _template() -> bytes:
    import numpy as np
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, _SIDE, _SIDE, 3], name="x")
        mark = tf.constant(_MARK, name="mark")
        # Random, because equal numbers would be stored once.
        numbers = np.random.default_rng(0).random(_PADDING, np.float32)
        padding = tf.constant(numbers, name="padding")
        nothing = tf.reduce_mean(x, axis=[1, 2, 3]) * 0 * tf.gather(padding, 0)
        tf.stack([mark + nothing, 1 - mark + nothing], axis=1, name="y")
    content: bytes = graph.as_graph_def().SerializeToString()
    return content
