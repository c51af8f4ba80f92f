"""A frozen graph, converted to ONNX, in ONNX Runtime."""

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from worker.inference.onnx_parts import cut
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
    """An ONNX model on the CPU, in two parts where that is faster. Safe for threads.

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
        self._source, self._outputs = source.name, list(outputs)
        self._options = _options(settings)
        self.clock: Callable[[], float] = (
            time.thread_time if settings.intra_op_threads == 1 else time.perf_counter
        )
        content = read()
        self._between = self._outputs  # tensors between the two parts, where there are two
        self._second: Any = None
        self._first: Any = self._in_parts(content, source) or self._session(content)
        self.dtype: npt.DTypeLike = _dtype(self._first, source.name)

    def begin(self, batch: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return what `finish` takes for a batch of inputs (images, ...)."""
        return _encoded(self._first.run(self._between, {self._source: batch}))

    def finish(self, intermediate: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Run the second part, where there is one, and return one array per output."""
        if self._second is None:
            return intermediate
        rows = dict(zip(self._between, intermediate, strict=True))
        return _encoded(self._second.run(self._outputs, rows))

    def run(self, batch: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return one array per output for a batch of inputs (images, ...)."""
        return self.finish(self.begin(batch))

    def close(self) -> None:
        """Free the sessions."""
        self._first = self._second = None

    def _in_parts(self, content: bytes, source: Tensor) -> Any:
        """Return the session of the first of two parts, the other one being kept; or None."""
        images, *sides = source.shape or [0]
        known = [side for side in sides if side is not None]
        if images is not None or len(known) < len(sides):
            return None  # it takes a fixed number of images, or any size of them
        parts = cut(content, source.name, self._outputs)
        if parts is None:
            return None
        first = self._session(parts.first)
        two = np.zeros((2, *known), _dtype(first, source.name))
        (rows,) = first.run([parts.between], {source.name: two})
        if rows.shape[:1] != two.shape[:1]:
            return None
        self._between, self._second = [parts.between], self._session(parts.second)
        return first

    def _session(self, content: bytes) -> Any:
        session: Any = onnxruntime.InferenceSession(
            content, self._options, providers=["CPUExecutionProvider"]
        )
        # It keeps the file for the case that it is made again with other providers ("TODO: This is
        # bad as we're holding the memory indefinitely"): each weight would be in memory twice.
        session._model_bytes = None
        return session


def _options(settings: Settings) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.intra_op_threads
    options.inter_op_num_threads = settings.inter_op_threads
    options.log_severity_level = _ERRORS_ONLY
    # Threads that spin while they wait would take the processors from decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _dtype(session: Any, name: str) -> np.dtype[Any]:
    kind = {put.name: put.type for put in session.get_inputs()}.get(name)
    if kind not in _TYPES:
        raise ValueError(f"its input {name} is of the type {kind or 'unknown'}")
    return np.dtype(_TYPES[kind])


def _encoded(answers: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Return texts as UTF-8, as TensorFlow gives them."""
    return [
        np.array([str(text).encode() for text in answer.flat], object).reshape(answer.shape)
        if answer.dtype.kind in "OU"
        else answer
        for answer in answers
    ]
