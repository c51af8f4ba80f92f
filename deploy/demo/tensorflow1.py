"""TensorFlow as the tutorial writes it: `from deploy.demo.tensorflow1 import tf`.

The two variables below only count if they stand before the first import of TensorFlow, and a
value from outside wins over both.
"""

import os

# oneDNN is on by default only on processors with AVX-512 VNNI or newer; with AVX2 alone it
# trains a network of this kind about twice as fast.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Without it, a page of remarks about absent GPUs hides the progress lines.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow.compat.v1 as tf

__all__ = ["tf"]
