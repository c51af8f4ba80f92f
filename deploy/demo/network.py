"""The network, written the way the tutorial writes one: placeholders in, a softmax out.

Five convolutions with batch normalisation and max-pooling halve 96 x 96 to 3 x 3; where it is
6 x 6 and costs little, a residual block (https://arxiv.org/abs/1512.03385) adds depth. Nothing
depends on the size but the placeholder, so weights learnt on small photographs fit larger ones.
"""

from dataclasses import dataclass
from typing import Any

from deploy.demo.tensorflow1 import tf

# A tensor of the graph; TensorFlow has no types to check it against.
Tensor = Any

# Output channels of the five convolutions.
WIDTHS = (32, 64, 96, 128, 192)
# How much of a moving average stays at each training step.
MOMENTUM = 0.9
# Added to a variance before its root is taken.
EPSILON = 1e-3


@dataclass(frozen=True, kw_only=True)
class Network:
    """The tensors by which the graph is used; the first five are also found by their names."""

    #: `x`: float32 [N, size, size, 3], RGB in [0, 1]
    x: Tensor
    #: `y_true`: float32 [N, classes], each row sums to 1
    y_true: Tensor
    #: `is_training`: bool, a scalar: normalise by the batch (true) or by the moving averages
    is_training: Tensor
    #: `keep_prob`: float32, a scalar: share of the features that dropout keeps, 1.0 to use it
    keep_prob: Tensor
    #: `y_pred`: float32 [N, classes], probabilities
    y_pred: Tensor
    #: float32 [N, classes], what `y_pred` is the softmax of
    logits: Tensor


def batch_norm(inputs: Tensor, is_training: Tensor) -> Tensor:
    """Batch normalisation over all but the last axis of float32 [N, H, W, C]; same shape.

    The updates of the moving averages go to UPDATE_OPS, for the training operation to wait on.
    """
    channels = [inputs.shape[-1]]
    with tf.variable_scope("batch_norm"):
        gamma = tf.get_variable("gamma", channels, initializer=tf.ones_initializer())
        beta = tf.get_variable("beta", channels, initializer=tf.zeros_initializer())
        mean = tf.get_variable(
            "moving_mean", channels, initializer=tf.zeros_initializer(), trainable=False
        )
        variance = tf.get_variable(
            "moving_variance", channels, initializer=tf.ones_initializer(), trainable=False
        )

        def by_batch() -> tuple[Tensor, Tensor, Tensor]:
            outputs: tuple[Tensor, Tensor, Tensor] = tf.nn.fused_batch_norm(
                inputs, gamma, beta, epsilon=EPSILON, is_training=True
            )
            return outputs

        def by_moving_averages() -> tuple[Tensor, Tensor, Tensor]:
            outputs: tuple[Tensor, Tensor, Tensor] = tf.nn.fused_batch_norm(
                inputs, gamma, beta, mean, variance, epsilon=EPSILON, is_training=False
            )
            return outputs

        normalised, batch_mean, batch_variance = tf.cond(is_training, by_batch, by_moving_averages)
        for moving, seen in ((mean, batch_mean), (variance, batch_variance)):
            update = tf.assign_sub(moving, (moving - seen) * (1 - MOMENTUM))
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
    return normalised


def convolution(inputs: Tensor, name: str, channels: int, is_training: Tensor) -> Tensor:
    """Convolve 3 x 3 and normalise: float32 [N, H, W, C] to [N, H, W, channels]."""
    with tf.variable_scope(name):
        weights = tf.get_variable(
            "weights",
            [3, 3, inputs.shape[-1], channels],
            initializer=tf.variance_scaling_initializer(scale=2.0),
        )
        outputs = tf.nn.conv2d(inputs, weights, strides=1, padding="SAME")
        return batch_norm(outputs, is_training)


def halve(inputs: Tensor) -> Tensor:
    """Rectify and keep the largest of each 2 x 2: [N, H, W, C] to [N, H/2, W/2, C]."""
    return tf.nn.max_pool2d(tf.nn.relu(inputs), ksize=2, strides=2, padding="SAME")


def residual(inputs: Tensor, name: str, is_training: Tensor) -> Tensor:
    """Add to [N, H, W, C] what two convolutions make of it; same shape."""
    channels = int(inputs.shape[-1])
    with tf.variable_scope(name):
        outputs = tf.nn.relu(convolution(inputs, "conv1", channels, is_training))
        outputs = convolution(outputs, "conv2", channels, is_training)
        return tf.nn.relu(inputs + outputs)


def dense(inputs: Tensor, name: str, outputs: int) -> Tensor:
    """Fully connected, without activation: [N, C] to [N, outputs]."""
    with tf.variable_scope(name):
        weights = tf.get_variable(
            "weights",
            [inputs.shape[-1], outputs],
            initializer=tf.truncated_normal_initializer(stddev=0.02),
        )
        biases = tf.get_variable("biases", [outputs], initializer=tf.zeros_initializer())
        return tf.matmul(inputs, weights) + biases


def build_network(size: int, classes: int) -> Network:
    """Add the network for `size` x `size` photographs to the default graph."""
    x = tf.placeholder(tf.float32, shape=[None, size, size, 3], name="x")
    y_true = tf.placeholder(tf.float32, shape=[None, classes], name="y_true")
    is_training = tf.placeholder(tf.bool, shape=[], name="is_training")
    keep_prob = tf.placeholder(tf.float32, shape=[], name="keep_prob")

    layer = (x - 0.5) * 4.0
    for number, channels in enumerate(WIDTHS[:-1], start=1):
        layer = halve(convolution(layer, f"conv{number}", channels, is_training))
    layer = residual(layer, "residual", is_training)
    layer = halve(convolution(layer, f"conv{len(WIDTHS)}", WIDTHS[-1], is_training))
    features = tf.reduce_mean(layer, axis=[1, 2], name="features")
    features = tf.nn.dropout(features, rate=1 - keep_prob)
    logits = dense(features, "dense", classes)
    y_pred = tf.nn.softmax(logits, name="y_pred")
    return Network(
        x=x,
        y_true=y_true,
        is_training=is_training,
        keep_prob=keep_prob,
        y_pred=y_pred,
        logits=logits,
    )
