"""TensorFlow's own graph optimizer, called for one pass at a time. It looks and rewrites only.

What it gives does not depend on this machine: no pass is used here that puts in ops of one kind of
device, as its remapper and its layout pass do.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.grappler import tf_optimizer

from freezing.graph.attributes import strip_places

# How TensorFlow fails here.
ERRORS = (RuntimeError, ValueError, tf.errors.OpError)


def rewrite(graph_def: Any, passes: Sequence[str], keep: Sequence[str]) -> Any:
    """Return the GraphDef as the passes, such as "function" and "constfold", leave it.

    `keep` are tensors (`x:0`) that must keep their names: inputs and outputs. Raises one of
    `ERRORS` where TensorFlow cannot do it.
    """
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        meta = tf.compat.v1.train.export_meta_graph(graph_def=graph_def, clear_devices=True)
    meta.collection_def["train_op"].node_list.value.extend(keep)
    config = tf.compat.v1.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1  # small graphs too
    rewriting.optimizers.extend(passes)
    rewriting.function_optimization = rewriting.AGGRESSIVE
    flat = tf_optimizer.OptimizeGraph(config, meta)
    strip_places(flat)  # what is put in stands beside what it came from
    return flat
