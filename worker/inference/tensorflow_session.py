"""A frozen GraphDef in TensorFlow."""

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from worker.inference.tensorflow import CallableOptions, import_graph, onednn_is_on, tf
from worker.models.manifest import Tensor
from worker.settings import Settings

v1 = tf.compat.v1

# Above this size the optimiser, which copies every weight several times, costs more than it gives:
# an AlexNet of 250 MB was warm after 2 s of CPU and with 1.9 GB at its peak instead of 16 s and
# 3.5 GB, and as fast.
_LARGE_GRAPH_BYTES = 100 * 1024 * 1024

# Runs a graph's operations one after another in the thread that asks for them. It knows no
# low-level control flow.
_IN_TURN = "SINGLE_THREADED_EXECUTOR"


class TensorFlowSession:
    """A session with one prepared call. Safe for threads.

    With one thread for operations and one inside them, a graph is run by the caller's, unless it
    has control flow: no thread has to be woken for each run, and none spins while it waits.

    Raises one of `FAILURES` where what is read is no graph that can be run.
    """

    FAILURES: ClassVar[tuple[type[Exception], ...]] = (
        tf.errors.OpError,
        ValueError,
        KeyError,
        TypeError,
    )

    def __init__(
        self,
        read: Callable[[], bytes],
        source: Tensor,
        outputs: Sequence[str],
        settings: Settings,
    ) -> None:
        """Load the serialised GraphDef that `read` returns, which nobody else should keep."""
        self.dtype: npt.DTypeLike = tf.as_dtype(source.dtype).as_numpy_dtype
        self.clock: Callable[[], float] = time.perf_counter
        graph, size = import_graph(read)
        config = v1.ConfigProto(
            intra_op_parallelism_threads=settings.intra_op_threads,
            inter_op_parallelism_threads=settings.inter_op_threads,
            use_per_session_threads=False,
        )
        # Otherwise it keeps a copy of the weights for a session that is asked what it ran.
        config.experimental.disable_output_partition_graphs = True
        rewriting = config.graph_options.rewrite_options
        if size > _LARGE_GRAPH_BYTES:
            rewriting.disable_meta_optimizer = True
        if not onednn_is_on() and any(_is_grouped(one) for one in graph.get_operations()):
            # It puts a convolution and its bias into one op, which knows groups in oneDNN only.
            rewriting.remapping = rewriting.OFF
        if settings.intra_op_threads == settings.inter_op_threads == 1:
            config.experimental.executor_type = _IN_TURN
            try:
                self._prepare(graph, config, source, outputs)
            except tf.errors.FailedPreconditionError:
                self._session.close()
                config.experimental.executor_type = ""
            else:
                self.clock = time.thread_time
                return
        self._prepare(graph, config, source, outputs)

    def _prepare(
        self, graph: tf.Graph, config: Any, source: Tensor, outputs: Sequence[str]
    ) -> None:
        """Make the session and its call, once; `run` would look all that up each time."""
        feed = graph.get_tensor_by_name(source.name)
        fetches = [graph.get_tensor_by_name(name) for name in outputs]
        self._shape = feed.shape
        self._session = v1.Session(graph=graph, config=config)
        if source.name in outputs:  # which only `run` allows
            self._call = self._session.make_callable(fetches, [feed])
            return
        # What `make_callable` gives for a call with feeds is `run` in disguise.
        self._call = self._session._make_callable_from_options(
            CallableOptions(feed=[source.name], fetch=outputs)
        )

    def run(self, batch: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return one array per output for a batch of inputs (images, ...).

        Raises `ValueError` for inputs of another shape or type: the call does not look at them, and
        TensorFlow ends the process where an operation finds a type that it does not expect.
        """
        if batch.dtype != self.dtype or not self._shape.is_compatible_with(batch.shape):
            raise ValueError(
                f"Cannot run inputs of the shape {list(batch.shape)} and the type {batch.dtype}: "
                f"the graph takes {self._shape} of {np.dtype(self.dtype)}."
            )
        answers: list[npt.NDArray[Any]] = self._call(batch)
        return answers

    def begin(self, batch: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Do all of it: to call a part of a graph costs more here than it gains."""
        return self.run(batch)

    def finish(self, intermediate: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return the results, which are complete already."""
        return intermediate

    def close(self) -> None:
        """Free the session."""
        self._session.close()


def _is_grouped(operation: Any) -> bool:
    """Tell whether it is a convolution whose filters each see some of the channels only."""
    if operation.type != "Conv2D" or operation.get_attr("data_format") != b"NHWC":
        return False
    images, filters = (tensor.shape for tensor in operation.inputs)
    if images.rank is None or filters.rank is None:
        return False
    seen, channels = filters[2], images[3]
    return None not in (seen, channels) and seen != channels
