"""TensorFlow as a worker runs it: `from worker.inference.tensorflow import tf`.

What is decided here only counts before the first import of TensorFlow in a process.
"""

from worker.onednn import switch_on

switch_on()

import tensorflow as tf  # noqa: E402
from tensorflow.core.protobuf.config_pb2 import CallableOptions  # noqa: E402
from tensorflow.python.util import _pywrap_util_port  # noqa: E402

__all__ = ["CallableOptions", "onednn_is_on", "tf"]


def onednn_is_on() -> bool:
    """Tell whether TensorFlow runs convolutions and matrix products by oneDNN."""
    return bool(_pywrap_util_port.IsMklEnabled())
