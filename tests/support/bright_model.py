"""A network of two classes, how bright an image is and how dark, published for either runtime."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tests.support.api import photograph
from worker.inference.graphs import Graphs
from worker.models.manifest import Manifest, ManifestDraft, Runtime, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry

v1 = tf.compat.v1
Build = Callable[[Any], list[Any]]
RUNTIMES: list[Runtime] = ["tensorflow", "onnxruntime"]
SIDE = 4
TEAL = photograph(size=(SIDE, SIDE))


def mean(x: Any) -> list[Any]:
    """Two classes: how bright the image is, and how dark."""
    bright = tf.reduce_mean(x, axis=[1, 2, 3])
    return [tf.stack([bright, 1 - bright], axis=1)]


def graph_def(build: Build, batch: int | None = None) -> tuple[bytes, list[Any]]:
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, [batch, SIDE, SIDE, 3], name="x")
        outputs = [tf.identity(y, name=f"y{n}") for n, y in enumerate(build(x))]
    return graph.as_graph_def().SerializeToString(), outputs


def publish(
    registry: Registry,
    tmp_path: Path,
    build: Build = mean,
    *,
    name: str = "m",
    batch: int | None = None,
    scores: Any = "probabilities",
    runtime: Runtime = "tensorflow",
) -> Manifest:
    content, outputs = graph_def(build, batch)
    path = tmp_path / f"{name}.pb"
    path.write_bytes(content)
    accelerated = None
    if runtime == "onnxruntime":
        accelerated = tmp_path / f"{name}.onnx"
        accelerated.write_bytes(_converted(content, [y.name for y in outputs]))
    draft = ManifestDraft(
        name=name,
        inputs=[Tensor(name="x:0", shape=[batch, SIDE, SIDE, 3], dtype="float32")],
        outputs=[Tensor(name=y.name, shape=None, dtype=y.dtype.name) for y in outputs],
        labels=["bright", "dark"],
        preprocessing=Preprocessing(size=(SIDE, SIDE)),
        scores=scores,
        runtime=runtime,
    )
    return registry.publish(draft, path, accelerated=accelerated)


def _converted(content: bytes, outputs: list[str]) -> bytes:
    from tf2onnx import convert

    graph_def = v1.GraphDef.FromString(content)
    model, _ = convert.from_graph_def(graph_def, input_names=["x:0"], output_names=outputs)
    converted: bytes = model.SerializeToString()
    return converted


def states(graphs: Graphs) -> dict[tuple[str, int], tuple[str, int]]:
    return {(row.model, row.version): (row.state, row.loads) for row in graphs.report()}
