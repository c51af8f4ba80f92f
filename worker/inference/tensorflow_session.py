"""A frozen GraphDef in TensorFlow."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy.typing as npt
import tensorflow as tf

from worker.models.manifest import Tensor
from worker.settings import Settings

v1 = tf.compat.v1

# Above this size the optimiser, which copies every weight several times, costs more than it gives:
# an AlexNet of 250 MB was warm after 2 s of CPU and with 1.9 GB at its peak instead of 16 s and
# 3.5 GB, and as fast.
_LARGE_GRAPH_BYTES = 100 * 1024 * 1024


class TensorFlowSession:
    """A session with one prepared call. Safe for threads.

    Raises one of `FAILURES` where `content` is no graph that can be run.
    """

    FAILURES: ClassVar[tuple[type[Exception], ...]] = (
        tf.errors.OpError,
        ValueError,
        KeyError,
        TypeError,
    )

    def __init__(
        self, content: bytes, source: Tensor, outputs: Sequence[str], settings: Settings
    ) -> None:
        """Load a serialised GraphDef."""
        self.dtype: npt.DTypeLike = tf.as_dtype(source.dtype).as_numpy_dtype
        graph_def = v1.GraphDef()
        graph_def.ParseFromString(content)
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(graph_def, name="")
        config = v1.ConfigProto(
            intra_op_parallelism_threads=settings.intra_op_threads,
            inter_op_parallelism_threads=settings.inter_op_threads,
            use_per_session_threads=False,
        )
        if len(content) > _LARGE_GRAPH_BYTES:
            config.graph_options.rewrite_options.disable_meta_optimizer = True
        feed = graph.get_tensor_by_name(source.name)
        fetches = [graph.get_tensor_by_name(name) for name in outputs]
        self._session = v1.Session(graph=graph, config=config)
        # Prepared once; Session.run would look the feeds and fetches up each time.
        self._call = self._session.make_callable(fetches, [feed])

    def run(self, batch: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return one array per output for a batch of inputs (images, ...)."""
        answers: list[npt.NDArray[Any]] = self._call(batch)
        return answers

    def close(self) -> None:
        """Free the session."""
        self._session.close()
