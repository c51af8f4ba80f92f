"""Small Keras models of every build, for Keras 3 and Keras 2 alike, saved in every format."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

SIDE = 8
Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """A model on disk, and what it answered in memory before it was saved."""

    path: Path
    images: Array
    expected: list[Array]


def plain(k: ModuleType) -> Any:
    """Convolution, batch normalisation, dropout; the input's shape is known from a call only."""
    model = k.Sequential(
        [
            k.layers.Conv2D(4, 3, activation="relu"),
            k.layers.BatchNormalization(),
            k.layers.Flatten(),
            k.layers.Dropout(0.5),
            k.layers.Dense(3, activation="softmax"),
        ]
    )
    model(np.zeros([1, SIDE, SIDE, 3], np.float32))
    return model


def with_preprocessing(k: ModuleType) -> Any:
    """Resizing, scaling and normalisation inside, around a nested model."""
    inputs = k.layers.Input([SIDE, SIDE, 3], name="photo")
    x = k.layers.Resizing(6, 6)(inputs)
    x = k.layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = k.layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)
    inner_input = k.layers.Input([6, 6, 3])
    inner = k.layers.SeparableConv2D(4, 3, padding="same")(inner_input)
    inner = k.layers.LeakyReLU()(inner)
    x = k.Model(inner_input, inner, name="backbone")(x)
    x = k.layers.GlobalAveragePooling2D()(x)
    return k.Model(inputs, k.layers.Dense(3, name="scores")(x))


def augmenting(k: ModuleType) -> Any:
    """Random changes, which only training makes."""
    inputs = k.layers.Input([SIDE, SIDE, 3], name="photo")
    x = k.layers.RandomFlip("horizontal")(inputs)
    x = k.layers.RandomRotation(0.2)(x)
    x = k.layers.Flatten()(k.layers.GaussianNoise(0.3)(x))
    return k.Model(inputs, k.layers.Dense(3, name="scores")(x))


def recurrent(k: ModuleType) -> Any:
    """Rows of a picture as a sequence."""
    inputs = k.layers.Input([SIDE, SIDE], name="rows")
    x = k.layers.LSTM(5, return_sequences=True)(inputs)
    x = k.layers.GRU(4)(x)
    return k.Model(inputs, k.layers.Dense(3, activation="softmax", name="scores")(x))


def calculating(k: ModuleType) -> Any:
    """Calculations between layers: Keras 3 cannot read them back from HDF5 itself."""
    inputs = k.layers.Input([SIDE, SIDE, 3], name="image")
    x = k.layers.Conv2D(4, 3)(inputs / 127.5 - 1.0)
    x = k.layers.Flatten()(x[:, 1:, :, :] + x[:, :-1, :, :])
    return k.Model(inputs, k.layers.Dense(3, name="scores")(x))


def grouped(k: ModuleType) -> Any:
    """A convolution in groups, which Keras has a compiler take as one piece."""
    inputs = k.layers.Input([SIDE, SIDE, 3], name="image")
    x = k.layers.Conv2D(4, 3, groups=2)(k.layers.Conv2D(4, 1)(inputs))
    return k.Model(inputs, k.layers.Dense(3, name="scores")(k.layers.Flatten()(x)))


def two_outputs(k: ModuleType) -> Any:
    inputs = k.layers.Input([SIDE, SIDE, 3], name="image")
    x = k.layers.Flatten()(inputs)
    first = k.layers.Dense(3, activation="softmax", name="kind")(x)
    return k.Model(inputs, [first, k.layers.Dense(1, activation="sigmoid", name="age")(x)])


def mixed(k: ModuleType, policy: str) -> Any:
    """Half precision inside, float32 at the end."""
    inputs = k.layers.Input([SIDE, SIDE, 3], name="image")
    x = k.layers.Conv2D(4, 3, dtype=policy)(inputs)
    x = k.layers.Flatten(dtype=policy)(x)
    return k.Model(inputs, k.layers.Dense(3, dtype="float32", activation="softmax", name="y")(x))


def save(model: Any, path: Path) -> SavedModel:
    """Give the model random weights, ask it, save it: a folder's format is SavedModel."""
    random = np.random.default_rng(3)
    # Positive, so that variances and the like are possible ones.
    model.set_weights(
        [
            random.uniform(0.05, 0.4, one.shape).astype(one.dtype)
            if np.issubdtype(one.dtype, np.floating)
            else one
            for one in model.get_weights()
        ]
    )
    shape = [3, *model.inputs[0].shape[1:]]
    images = random.uniform(0, 255, shape).astype(np.float32)
    answers = tf.nest.flatten(model(images, training=False))
    if path.suffix:
        model.save(path)
    elif is_keras_2(model):
        tf.saved_model.save(model, str(path))
    else:
        model.export(path, verbose=False)
    return SavedModel(path=path, images=images, expected=[answer.numpy() for answer in answers])


def is_keras_2(model: Any) -> bool:
    return "tf_keras" in type(model).__module__


BUILDERS: dict[str, Callable[[ModuleType], Any]] = {
    "plain": plain,
    "with_preprocessing": with_preprocessing,
    "augmenting": augmenting,
    "recurrent": recurrent,
    "calculating": calculating,
    "grouped": grouped,
    "two_outputs": two_outputs,
    "float16": lambda k: mixed(k, "mixed_float16"),
    "bfloat16": lambda k: mixed(k, "mixed_bfloat16"),
}
