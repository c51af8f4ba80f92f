"""Networks for TensorFlow 1 in the ways in which people build and name them."""

from typing import Any

import numpy as np
import tensorflow as tf

from tests.unit.freezing import networks
from tests.unit.freezing.networks import SIDE, dense, flat, image_placeholder, v1

GRADIENT_DESCENT = v1.train.GradientDescentOptimizer(0.1)


def dense_softmax(x: Any, name: str = "y_pred") -> None:
    tf.nn.softmax(dense(flat(x), 4, "dense"), name=name)


def slim_batch_norm() -> None:
    networks.with_batch_norm()


def slim_mobilenet() -> None:
    x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="input")
    is_training = v1.placeholder_with_default(False, [], name="is_training")
    hidden = networks.batch_norm(x, is_training, updates_in_graph=False)
    hidden = tf.reduce_mean(hidden, [1, 2], keepdims=True)
    logits = tf.squeeze(dense(tf.reshape(hidden, [-1, 3]), 5, "logits"), name="Squeeze")
    logits = tf.reshape(logits, [-1, 5], name="MobilenetV1/Logits/SpatialSqueeze")
    flat_logits = tf.reshape(logits, [-1, 5], name="MobilenetV1/Predictions/Reshape")
    scores = tf.nn.softmax(flat_logits, name="MobilenetV1/Predictions/Softmax")
    tf.reshape(scores, [-1, 5], name="MobilenetV1/Predictions/Reshape_1")


def layers_with_queue() -> None:
    """As tf.layers was used with tf.train.batch: images and labels come from one queue."""
    shapes = [[SIDE, SIDE, 3], []]
    queue = v1.FIFOQueue(4, [tf.float32, tf.int64], shapes, name="batch/fifo_queue")
    images, labels = queue.dequeue_many(2, name="batch")
    rate = v1.placeholder(tf.float32, name="dropout_rate")
    hidden = v1.nn.dropout(tf.nn.relu(dense(flat(images), 8, "hidden")), rate=rate)
    logits = dense(hidden, 4, "logits")
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )
    v1.summary.scalar("zero_fraction", tf.math.zero_fraction(hidden))
    v1.summary.scalar("loss", loss)
    v1.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
    tf.reduce_mean(tf.cast(tf.nn.in_top_k(labels, logits, 1), tf.float32), name="precision")


def inception_2015() -> None:
    """The graph of classify_image: JPEG bytes are fed to a constant."""
    text = tf.constant("", name="DecodeJpeg/contents")
    image = tf.cast(tf.image.decode_jpeg(text, channels=3, name="DecodeJpeg"), tf.float32)
    batch = tf.expand_dims(image, 0, name="ExpandDims")
    resized = v1.image.resize_bilinear(batch, [SIDE, SIDE], name="ResizeBilinear")
    scaled = tf.multiply(tf.subtract(resized, 128.0, name="Sub"), 1 / 128, name="Mul")
    weights = tf.constant(np.ones([3, 3, 3, 4], np.float32), name="conv/conv2d_params")
    hidden = tf.nn.conv2d(scaled, weights, 1, "SAME", name="conv/Conv2D")
    hidden = tf.reshape(tf.reduce_mean(hidden, [1, 2]), [-1, 4], name="pool_3/_reshape")
    last = tf.constant(np.ones([4, 1008], np.float32), name="softmax/weights")
    tf.nn.softmax(tf.matmul(hidden, last, name="softmax/logits/MatMul"), name="softmax")


def keras_with_learning_phase() -> None:
    x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="input_1")
    phase = v1.placeholder_with_default(False, [], name="keras_learning_phase")
    hidden = dense(flat(x), 8, "dense")
    hidden = v1.cond(phase, lambda: v1.nn.dropout(hidden, rate=0.5), lambda: tf.identity(hidden))
    tf.nn.softmax(dense(hidden, 3, "dense_1"), name="dense_1/Softmax")


def two_towers() -> None:
    x = v1.placeholder(tf.float32, [4, SIDE, SIDE, 3], name="x")
    for number, part in enumerate(tf.split(x, 2)):
        with v1.variable_scope(v1.get_variable_scope(), reuse=number > 0):
            logits = dense(flat(part), 4, "dense")
        tf.nn.softmax(logits, name=f"tower_{number}/prob")


def training_and_evaluation_copy() -> None:
    x = image_placeholder()
    for name in ("train", "eval"):
        with v1.variable_scope("net", reuse=name == "eval"):
            hidden = dense(flat(x), 8, "hidden")
            hidden = v1.nn.dropout(hidden, rate=0.5) if name == "train" else hidden
            tf.nn.softmax(dense(hidden, 4, "out"), name=f"{name}_softmax")


def early_heads() -> None:
    """GoogLeNet of 2014: softmax0 and softmax1 leave early, softmax2 is the answer."""
    hidden = flat(image_placeholder())
    for number in range(3):
        for layer in range(4):
            hidden = tf.nn.relu(dense(hidden, 16, f"block{number}_{layer}"))
        tf.nn.softmax(dense(hidden, 4, f"head{number}"), name=f"softmax{number}")


def argmax_beside() -> None:
    logits = dense(flat(image_placeholder()), 4, "dense")
    tf.nn.softmax(logits, name="probabilities")
    tf.argmax(logits, 1, name="classes")
    tf.nn.top_k(logits, 2, name="best")


def one_sigmoid() -> None:
    logits = dense(flat(image_placeholder()), 1, "dense")
    tf.sigmoid(logits, name="attractive")
    y_true = v1.placeholder(tf.float32, [None, 1], name="labels")
    loss = tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=y_true, logits=logits)
    ) + 0.01 * tf.nn.l2_loss(v1.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)[0])
    GRADIENT_DESCENT.minimize(loss)


def logits_only() -> None:
    hidden = tf.nn.relu(dense(flat(image_placeholder()), 8, "fc6"))
    tf.identity(dense(hidden, 10, "fc8"), name="fc8/out")


def softmax_written_out() -> None:
    powers = tf.exp(dense(flat(image_placeholder()), 4, "dense"))
    tf.divide(powers, tf.reduce_sum(powers, 1, keepdims=True), name="probs")


def squared_loss() -> None:
    """As the linear models of many courses: the prediction goes into nothing but the loss."""
    x = v1.placeholder(tf.float32, [None, 784], name="pixels")
    y = v1.placeholder(tf.float32, [None, 10], name="targets")
    prediction = dense(x, 10, "dense")
    loss = tf.reduce_sum(tf.square(prediction - y)) + 0.1 * tf.nn.l2_loss(
        v1.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)[0]
    )
    GRADIENT_DESCENT.minimize(loss)


def attention_inside() -> None:
    x = flat(image_placeholder())
    attention = tf.nn.softmax(dense(x, 192, "attention"), name="attention/probs")
    tf.nn.softmax(dense(x * attention, 4, "dense"), name="answer")


def numbers_behind_the_image() -> None:
    """A second input that comes in after the first layers is no label."""
    x = flat(image_placeholder())
    place = v1.placeholder(tf.float32, [None, 2], name="place")
    hidden = tf.concat([dense(x, 8, "hidden"), place], 1)
    tf.nn.softmax(dense(hidden, 4, "dense"), name="y_pred")


def two_answers() -> None:
    x = flat(image_placeholder())
    tf.nn.softmax(dense(x, 4, "age"), name="age/predictions")
    tf.nn.softmax(dense(x, 2, "gender"), name="gender/predictions")
