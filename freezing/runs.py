"""Running a graph file on samples, whatever runtime it is for. Called in a process of its own."""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Protocol

from freezing.answers import Array, Expected, in_pieces, save_answers
from freezing.reasons import reason
from freezing.steps import Report
from worker.errors import VerificationError


class Runnable(Protocol):
    """A loaded graph."""

    def run(self, batch: Array) -> list[Array]:
        """Return one array per output for a batch of inputs (images, ...)."""


def run_file(
    _: Report, graph: str, expected: dict[str, Any], sizes: list[int], folder: str, called: str
) -> None:
    """Write into `folder` what a graph file answers to the samples, in pieces of each size.

    Raises `VerificationError` where the file cannot be loaded or run.
    """
    wanted = Expected.parse(expected)
    with ExitStack() as stack:
        try:
            loaded = stack.enter_context(_open(Path(graph), wanted))
            inputs = _samples(wanted)
            for size in sizes:
                save_answers(Path(folder), size, in_pieces(loaded.run, inputs, size))
        except (VerificationError, MemoryError, OSError):
            raise
        except Exception as error:  # whatever the runtimes raise
            if type(error).__name__ == "ResourceExhaustedError" or "bad_alloc" in str(error):
                raise
            raise VerificationError(
                f"{called[:1].upper()}{called[1:]} cannot be run: {reason(error)}."
            ) from error


def _open(path: Path, wanted: Expected) -> AbstractContextManager[Runnable]:
    outputs = [tensor.name for tensor in wanted.outputs]
    if path.suffix == ".onnx":
        return OnnxSession(path, wanted.input.name, outputs)
    from freezing.sessions import Written  # noqa: PLC0415 - loads TensorFlow

    return Written(path, wanted.input.name, outputs)


def _samples(wanted: Expected) -> Array:
    import tensorflow as tf  # noqa: PLC0415 - knows types that numpy has not

    return wanted.inputs().astype(tf.as_dtype(wanted.input.dtype).as_numpy_dtype, copy=False)


class OnnxSession(AbstractContextManager["OnnxSession"]):
    """A graph in ONNX Runtime."""

    def __init__(self, path: Path, feed: str, outputs: list[str]) -> None:
        """Load the file."""
        import onnxruntime  # noqa: PLC0415 - only where it is asked for

        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self._feed = feed
        self._outputs = outputs

    def run(self, batch: Array) -> list[Array]:
        """Return one array per output for a batch of inputs (images, ...)."""
        answers: list[Array] = self._session.run(self._outputs, {self._feed: batch})
        return answers

    def __exit__(self, *_: object) -> None:
        """Nothing is to be freed: the process ends soon."""
