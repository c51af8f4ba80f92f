"""Running a graph file on samples, whatever runtime it is for. Called in a process of its own."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Protocol

from freezing.running.failures import NotRunnableError, capital
from freezing.running.limited_runs import limited
from freezing.running.reasons import reason
from freezing.running.steps import Report
from freezing.verifying.answers import Array, Expected, fitted, in_pieces, save_answers
from worker.out_of_memory import is_out_of_memory
from worker.settings import get_settings


class Runnable(Protocol):
    """A loaded graph."""

    def run(self, batch: Array) -> list[Array]:
        """Return one array per output for a batch of inputs (images, ...)."""


def run_file(
    _: Report, graph: Path, wanted: Expected, sizes: Sequence[int], folder: Path, called: str
) -> None:
    """Write into `folder` what a graph file answers to the samples, in pieces of each size.

    Raises `NotRunnableError` where the file cannot be loaded or run.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(limited(f"running {called} on the samples"))
            loaded = stack.enter_context(_open(graph, wanted))
            inputs, run = _samples(wanted), fitted(loaded.run, wanted.input)
            for size in sizes:
                save_answers(folder, size, in_pieces(run, inputs, size))
        except (NotRunnableError, MemoryError, OSError):
            raise
        except Exception as error:  # whatever the runtimes raise
            if is_out_of_memory(error):
                raise
            raise NotRunnableError(f"{capital(called)} cannot be run: {reason(error)}.") from error


def _open(path: Path, wanted: Expected) -> AbstractContextManager[Runnable]:
    outputs = [tensor.name for tensor in wanted.outputs]
    if path.suffix == ".onnx":
        from worker.inference.onnx_session import OnnxSession  # noqa: PLC0415 - loads its runtime

        return closing(OnnxSession(path.read_bytes, wanted.input, outputs, get_settings()))
    from freezing.verifying.sessions import Written  # noqa: PLC0415 - loads TensorFlow

    return Written(path, wanted.input.name, outputs)


def _samples(wanted: Expected) -> Array:
    import tensorflow as tf  # noqa: PLC0415 - knows types that numpy has not

    return wanted.inputs().astype(tf.as_dtype(wanted.input.dtype).as_numpy_dtype, copy=False)
