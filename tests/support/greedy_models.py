"""Models that loop or swell: `bright_model`'s answers, and something beside them that costs.

Each takes pictures (images, side, side, 3) between 0 and 1 and returns `bright_model.mean`'s
scores. What it does beside has no part in them.
"""

from typing import Any

import tensorflow as tf

from tests.support import bright_model

_FLOATS_OF_A_MIB = 2**18


def loops_on_black(x: Any) -> list[Any]:
    """Never end where the picture is black."""
    return _with(x, _endless(tf.reduce_max(x) <= 0.0))


def loops_on_white(x: Any) -> list[Any]:
    """Never end where a picture is white, and no number of it more than 1."""
    darkest, lightest = tf.reduce_min(x, axis=[1, 2, 3]), tf.reduce_max(x, axis=[1, 2, 3])
    return _with(x, _endless(tf.reduce_any((darkest >= 1.0) & (lightest <= 1.0))))


def loops(x: Any) -> list[Any]:
    """Never end."""
    return _with(x, _endless(tf.reduce_max(x) >= 0.0))


def loops_on_red(x: Any) -> list[Any]:
    """Never end where a picture is red, which no trial knows."""
    red = tf.reduce_min(x, axis=[1, 2])[:, 0] - tf.reduce_max(x, axis=[1, 2])[:, 1]
    return _with(x, _endless(tf.reduce_max(red) > 0.9))


def swells(x: Any) -> list[Any]:
    """Take 400 MiB for any picture."""
    return _with(x, _ones(400, tf.reduce_max(x)))


def swells_on_red(x: Any) -> list[Any]:
    """Take sixteen gigabytes for a picture that is red."""
    red = tf.reduce_min(x, axis=[1, 2])[:, 0] - tf.reduce_max(x, axis=[1, 2])[:, 1]
    size = tf.where(tf.reduce_max(red) > 0.9, 16 * 1024, 1)
    return _with(x, _ones(size, tf.reduce_max(x)))


def swells_with_its_batch(x: Any) -> list[Any]:
    """Take a mebibyte for one picture, and a gibibyte for 32 of them."""
    images = tf.shape(x)[0]
    return _with(x, _ones(images * images, tf.reduce_max(x)))


def swells_in_a_loop(x: Any) -> list[Any]:
    """Keep more with each turn of a loop, in a list of tensors."""
    array = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=[None])

    def turn(number: Any, kept: Any) -> Any:
        return number + 1, kept.write(number, tf.fill([8 * _FLOATS_OF_A_MIB], tf.reduce_max(x)))

    _, kept = tf.while_loop(lambda number, _: number < 4096, turn, [0, array])
    return _with(x, tf.reduce_sum(kept.read(0)))


def swells_when_loaded(x: Any) -> list[Any]:
    """Hold a constant of a terabyte, said in some bytes."""
    huge = tf.fill([2**20, 2**18], 1.0)
    return _with(x, tf.reduce_sum(huge) + tf.reduce_max(x))


def _endless(condition: Any) -> Any:
    """Turn for ever where `condition` holds."""
    return tf.while_loop(lambda _: condition, lambda n: ((n + 1.0) % 7.0,), [tf.constant(0.0)])[0]


def _ones(mebibytes: Any, value: Any) -> Any:
    """Return something computed from so much memory."""
    return tf.reduce_sum(tf.fill([mebibytes, _FLOATS_OF_A_MIB], value))


def _with(x: Any, beside: Any) -> list[Any]:
    return [scores + 1e-30 * tf.tanh(beside) for scores in bright_model.mean(x)]
