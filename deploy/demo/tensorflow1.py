"""TensorFlow as the tutorial writes it: `from deploy.demo.tensorflow1 import tf`.

The two variables below only count if they stand before the first import of TensorFlow, and a
value from outside wins over both.
"""

import os

from worker.inference.onednn import switch_on

switch_on()
# Without it, a page of remarks about absent GPUs hides the progress lines.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow.compat.v1 as tf  # noqa: E402

__all__ = ["tf"]
