"""Networks as people wrote them for TensorFlow 1, small. Each is built in the default graph."""

from typing import Any

import tensorflow as tf

v1 = tf.compat.v1
SIDE = 8


def image_placeholder(dtype: Any = tf.float32, batch: int | None = None) -> Any:
    return v1.placeholder(dtype, [batch, SIDE, SIDE, 3], name="x")


def dense(inputs: Any, width: int, name: str) -> Any:
    with v1.variable_scope(name):
        weights = v1.get_variable("weights", [inputs.shape[-1], width], inputs.dtype)
        biases = v1.get_variable("biases", [width], inputs.dtype)
        return tf.matmul(inputs, weights) + biases


def flat(inputs: Any) -> Any:
    return tf.reshape(inputs, [-1, SIDE * SIDE * 3])


def plain() -> None:
    logits = dense(flat(image_placeholder()), 4, "dense")
    tf.identity(logits, name="logits")
    tf.nn.softmax(logits, name="y_pred")


def train(logits: Any, optimizer: Any) -> None:
    y_true = v1.placeholder(tf.float32, [None, logits.shape[-1]], name="y_true")
    loss = tf.reduce_mean(
        tf.nn.softmax_cross_entropy_with_logits(labels=y_true, logits=logits), name="loss"
    )
    v1.summary.scalar("loss", loss)
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
        optimizer.minimize(loss, name="train")
    right = tf.equal(tf.argmax(logits, 1), tf.argmax(y_true, 1))
    tf.reduce_mean(tf.cast(right, tf.float32), name="accuracy")


def trained() -> None:
    """A dense network with Adam, its slots, summaries and an accuracy."""
    logits = dense(flat(image_placeholder()), 4, "dense")
    tf.nn.softmax(logits, name="y_pred")
    train(logits, v1.train.AdamOptimizer())


def batch_norm(inputs: Any, is_training: Any, *, updates_in_graph: bool) -> Any:
    """Batch normalisation with moving averages, chosen by `tf.cond`.

    With `updates_in_graph` the moving averages change inside the training branch, as
    `updates_collections=None` did; else they are left to UPDATE_OPS.
    """
    size = [inputs.shape[-1]]
    with v1.variable_scope("norm"):
        gamma, beta = (v1.get_variable(name, size) for name in ("gamma", "beta"))
        mean, variance = (v1.get_variable(n, size, trainable=False) for n in ("mean", "variance"))

        def of_batch() -> tuple[Any, Any]:
            here = tf.nn.moments(inputs, list(range(len(inputs.shape) - 1)))
            if not updates_in_graph:
                return here[0], here[1]
            updates = [
                v1.assign(moving, moving * 0.9 + new * 0.1)
                for moving, new in zip((mean, variance), here, strict=True)
            ]
            with tf.control_dependencies(updates):
                return tf.identity(here[0]), tf.identity(here[1])

        def moving_averages() -> tuple[Any, Any]:
            return tf.identity(mean), tf.identity(variance)

        used = v1.cond(is_training, of_batch, moving_averages)
        if not updates_in_graph:
            for moving, new in zip((mean, variance), used, strict=True):
                update = v1.assign_sub(moving, (moving - new) * 0.1)
                v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
        return tf.nn.batch_normalization(inputs, used[0], used[1], beta, gamma, 1e-3)


def with_batch_norm(updates_in_graph: bool = True, dropout: bool = True) -> None:
    """Convolution, batch normalisation, dropout by `keep_prob`, softmax, Adam."""
    x = image_placeholder()
    is_training = v1.placeholder(tf.bool, [], name="is_training")
    with v1.variable_scope("conv"):
        kernel = v1.get_variable("weights", [3, 3, 3, 4])
        hidden = tf.nn.conv2d(x, kernel, strides=2, padding="SAME")
        hidden = tf.nn.relu(batch_norm(hidden, is_training, updates_in_graph=updates_in_graph))
    hidden = tf.reshape(hidden, [-1, 4 * 4 * 4])
    if dropout:
        keep_prob = v1.placeholder(tf.float32, name="keep_prob")
        hidden = v1.nn.dropout(hidden, rate=1 - keep_prob)
    logits = dense(hidden, 4, "dense")
    tf.nn.softmax(logits, name="y_pred")
    train(logits, v1.train.AdamOptimizer())


def alexnet(optimizer: Any | None = None) -> None:
    """AlexNet as the tutorial lists it: eight layers, no groups, 227 x 227."""
    x = v1.placeholder(tf.float32, [None, 227, 227, 3], name="x")

    def conv(inputs: Any, side: int, channels: int, stride: int, padding: str, name: str) -> Any:
        with v1.variable_scope(name):
            shape = [side, side, inputs.shape[-1], channels]
            zeros = v1.zeros_initializer()
            kernel = v1.get_variable("weights", shape, initializer=zeros)
            biases = v1.get_variable("biases", [channels], initializer=zeros)
            return tf.nn.relu(tf.nn.conv2d(inputs, kernel, stride, padding) + biases)

    def connected(inputs: Any, width: int, name: str) -> Any:
        with v1.variable_scope(name):
            zeros = v1.zeros_initializer()
            weights = v1.get_variable("weights", [inputs.shape[-1], width], initializer=zeros)
            biases = v1.get_variable("biases", [width], initializer=zeros)
            return tf.matmul(inputs, weights) + biases

    def pool(inputs: Any) -> Any:
        return tf.nn.max_pool2d(inputs, 3, 2, "VALID")

    hidden = pool(conv(x, 11, 96, 4, "VALID", "conv1"))
    hidden = pool(conv(hidden, 5, 256, 1, "SAME", "conv2"))
    hidden = conv(hidden, 3, 384, 1, "SAME", "conv3")
    hidden = conv(hidden, 3, 384, 1, "SAME", "conv4")
    hidden = pool(conv(hidden, 3, 256, 1, "SAME", "conv5"))
    hidden = tf.reshape(hidden, [-1, 6 * 6 * 256])
    hidden = tf.nn.relu(connected(hidden, 4096, "fc6"))
    hidden = tf.nn.relu(connected(hidden, 4096, "fc7"))
    logits = connected(hidden, 1000, "fc8")
    tf.nn.softmax(logits, name="y_pred")
    if optimizer is not None:
        train(logits, optimizer)
