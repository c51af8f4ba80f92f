"""How much a graph has to calculate."""

from pathlib import Path

from worker.inference.tensorflow import tf
from worker.models.manifest import Manifest

v1 = tf.compat.v1


def float_operations(manifest: Manifest, path: Path) -> int:
    """Return how many additions and multiplications of numbers one image costs in a GraphDef.

    They are counted by TensorFlow's profiler, an addition and a multiplication as two:
    https://www.tensorflow.org/api_docs/python/tf/compat/v1/profiler/ProfileOptionBuilder
    """
    graph_def = v1.GraphDef()
    graph_def.ParseFromString(path.read_bytes())
    source = manifest.inputs[0]
    graph = tf.Graph()
    with graph.as_default():
        one = v1.placeholder(source.dtype, [1, *(source.shape or [])[1:]])
        tf.import_graph_def(graph_def, {source.name: one}, name="")
    options = v1.profiler.ProfileOptionBuilder(v1.profiler.ProfileOptionBuilder.float_operation())
    return int(
        v1.profiler.profile(graph, options=options.with_empty_output().build()).total_float_ops
    )
