"""Kernels of Keras files that were written with the Theano backend.

Theano convolves and TensorFlow correlates: the same kernel is stored turned around in its spatial
dimensions. Keras 2 turned it at loading, for the layers named here and for no other
(`preprocess_weights_for_loading` in keras/engine/topology.py of Keras 2.0 to 2.2); its successors
do not.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from worker.errors import SourceError

_TURNED = frozenset({"Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose"})
# Of these Keras 2 turned some and not others, so that a file's answers depend on who reads it.
_UNSURE = frozenset(
    {"ConvLSTM2D", "SeparableConv1D", "SeparableConv2D", "DepthwiseConv2D", "Conv3DTranspose"}
)


def check_theano(config: Any, name: str, version: str) -> None:
    """Raise `SourceError` for a model of the Theano backend that cannot be read rightly for sure.

    `config` is the model's configuration, `version` the Keras that wrote the file.
    """
    unsure = sorted({*_class_names(config)} & _UNSURE)
    if version.startswith("2.") and not unsure:
        return
    why = f"the layers {', '.join(unsure)}" if unsure else f"files of Keras {version or '1'}"
    raise SourceError(
        f"'{name}' was written with Keras's Theano backend, which stores the kernels of "
        f"convolutions turned around, and for {why} it is not sure which. Load it with Keras 2.2 "
        "on the TensorFlow backend, check its answers, save it there with model.save('model.h5'), "
        "and freeze that."
    )


def turn_kernels(model: Any) -> int:
    """Turn the kernels of all convolutions of a loaded model; return how many."""
    turned: set[int] = set()
    for layer in model._flatten_layers():  # both libraries have it, with layers inside others
        if type(layer).__name__ in _TURNED and id(layer) not in turned:
            turned.add(id(layer))
            kernel, *rest = layer.get_weights()
            layer.set_weights([np.flip(kernel, axis=tuple(range(kernel.ndim - 2))), *rest])
    return len(turned)


def _class_names(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            name = one.get("class_name")
            if isinstance(name, str):
                yield name
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
