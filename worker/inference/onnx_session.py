"""A frozen graph, converted to ONNX, in ONNX Runtime."""

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from worker.models.manifest import Tensor
from worker.settings import Settings

_ERRORS_ONLY = 3  # of ONNX Runtime's severities; warnings are about its own optimisations
# They share no root but Exception.
_FAILURES: tuple[type[Exception], ...] = tuple(
    value
    for value in vars(onnxruntime_pybind11_state).values()
    if isinstance(value, type) and issubclass(value, Exception)
)
_TYPES: dict[str, npt.DTypeLike] = {
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(bool)": np.bool_,
    **{f"tensor({name})": np.dtype(name) for name in ("int8", "int16", "int32", "int64")},
    **{f"tensor({name})": np.dtype(name) for name in ("uint8", "uint16", "uint32", "uint64")},
}


class OnnxSession:
    """An ONNX model on the CPU. Safe for threads.

    Raises one of `FAILURES` where what is read is no model that can be run.
    """

    FAILURES: ClassVar[tuple[type[Exception], ...]] = (*_FAILURES, ValueError)

    def __init__(
        self,
        read: Callable[[], bytes],
        source: Tensor,
        outputs: Sequence[str],
        settings: Settings,
    ) -> None:
        """Load the serialised model that `read` returns.

        Its tensors have the names that they have in TensorFlow.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.intra_op_threads
        options.inter_op_num_threads = settings.inter_op_threads
        options.log_severity_level = _ERRORS_ONLY
        # Threads that spin while they wait would take the processors from decoding.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(
            read(), options, providers=["CPUExecutionProvider"]
        )
        # It keeps the file for the case that it is made again with other providers ("TODO: This is
        # bad as we're holding the memory indefinitely"): each weight would be in memory twice.
        self._session._model_bytes = None
        self.clock: Callable[[], float] = (
            time.thread_time if settings.intra_op_threads == 1 else time.perf_counter
        )
        self._source, self._outputs = source.name, list(outputs)
        kind = {put.name: put.type for put in self._session.get_inputs()}.get(source.name)
        if kind not in _TYPES:
            raise ValueError(f"its input {source.name} is of the type {kind or 'unknown'}")
        self.dtype: npt.DTypeLike = _TYPES[kind]

    def run(self, batch: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return one array per output for a batch of inputs (images, ...)."""
        return [
            _encoded(answer) for answer in self._session.run(self._outputs, {self._source: batch})
        ]

    def close(self) -> None:
        """Free the session."""
        self._session = None


def _encoded(answer: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return texts as UTF-8, as TensorFlow gives them."""
    if answer.dtype.kind not in "OU":
        return answer
    return np.array([str(text).encode() for text in answer.flat], object).reshape(answer.shape)
