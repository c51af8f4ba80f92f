"""TensorFlow as a worker runs it: `from worker.inference.tensorflow import tf`.

What is decided here only counts before the first import of TensorFlow in a process.
"""

from collections.abc import Callable

from worker.inference.onednn import switch_on

switch_on()

import tensorflow as tf  # noqa: E402
from tensorflow.core.protobuf.config_pb2 import CallableOptions  # noqa: E402
from tensorflow.python.client import pywrap_tf_session as c_api  # noqa: E402
from tensorflow.python.framework import c_api_util, importer  # noqa: E402
from tensorflow.python.util import _pywrap_util_port  # noqa: E402

__all__ = ["CallableOptions", "import_graph", "onednn_is_on", "tf"]


def onednn_is_on() -> bool:
    """Tell whether TensorFlow runs convolutions and matrix products by oneDNN."""
    return bool(_pywrap_util_port.IsMklEnabled())


def import_graph(read: Callable[[], bytes]) -> tuple[tf.Graph, int]:
    """Return the graph that a serialised GraphDef describes, and how many bytes were read.

    What `tf.import_graph_def` does, without its three copies of the weights in Python: that parses
    the bytes, copies what it found and serialises it again for the library. Raises `ValueError` or
    `tf.errors.OpError` for what is no graph.
    """
    graph = tf.Graph()
    scoped = c_api_util.ScopedTFImportGraphDefOptions()
    importer._PopulateTFImportGraphDefOptions(
        scoped.options, "", {}, [], validate_colocation_constraints=True
    )
    content = read()
    size = len(content)
    buffer = c_api.TF_NewBufferFromString(content)
    del content  # before the library makes copies of its own
    with graph.as_default(), graph._mutation_lock():
        try:
            with graph._c_graph.get() as c_graph:
                results = c_api.TF_GraphImportGraphDefWithResults(c_graph, buffer, scoped.options)
            c_api_util.ScopedTFImportGraphDefResults(results)  # which frees them
        finally:
            c_api.TF_DeleteBuffer(buffer)
        importer._ProcessNewOps(graph)
    return graph, size
