"""Values that a person sets for tensors: `keep_prob=1.0`, `is_training=false`."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from freezing.graph.graph import base_type
from worker.errors import FreezeError


def as_array(name: str, value: Any, dtype: int, shape: Any) -> npt.NDArray[Any]:
    """Return `value` (bool, number or nested lists of them) as the tensor `name` needs it.

    `dtype` is a DataType number and `shape` a `tf.TensorShape`. 0 and 1 are good for a bool, and
    whole numbers for an integer. Raises `FreezeError` where value, dtype or shape do not go
    together.
    """
    wanted = tf.as_dtype(base_type(dtype))
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise FreezeError(f"set {name}: the lists are not all of the same length.") from error
    if given.dtype.kind not in "biuf" or not _fits(given, wanted):
        raise FreezeError(
            f"set {name}: {_show(value)} is not of type {wanted.name}, which the tensor has."
        )
    if not shape.is_compatible_with(given.shape):
        raise FreezeError(
            f"set {name}: the tensor has the shape {shape}, but the value given has "
            f"{tf.TensorShape(given.shape)}."
        )
    with np.errstate(over="ignore"):
        array: npt.NDArray[Any] = given.astype(wanted.as_numpy_dtype)
    if wanted.is_floating and not np.all(np.isfinite(array.astype(np.float64))):
        raise FreezeError(f"set {name}: {_show(value)} is too large for {wanted.name}.")
    return array


def _fits(given: npt.NDArray[Any], wanted: Any) -> bool:
    if wanted.is_bool:
        return given.dtype.kind == "b" or bool(np.all((given == 0) | (given == 1)))
    if given.dtype.kind == "b":
        return False
    if wanted.is_integer:
        whole = given == np.floor(given)
        return bool(np.all(whole & (given >= wanted.min) & (given <= wanted.max)))
    return bool(wanted.is_floating)


def _show(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
