"""One frozen graph, loaded and warmed in this process."""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from worker.errors import ModelUnavailableError
from worker.models.manifest import Manifest
from worker.settings import Settings

v1 = tf.compat.v1

# Above this size the optimiser, which copies every weight several times, costs more than it gives:
# an AlexNet of 250 MB was warm after 2 s of CPU and with 1.9 GB at its peak instead of 16 s and
# 3.5 GB, and as fast.
_LARGE_GRAPH_BYTES = 100 * 1024 * 1024


class LoadedGraph:
    """A frozen GraphDef in a session of its own, ready to run. Safe for threads.

    Raises `ModelUnavailableError` where the file is missing, was changed since it was published
    (its sha256 is compared with the manifest's) or cannot be loaded.
    """

    def __init__(self, manifest: Manifest, path: Path, settings: Settings) -> None:
        started = time.monotonic()
        self.manifest = manifest
        self._session: Any = None
        self.dtype: npt.DTypeLike = tf.as_dtype(manifest.inputs[0].dtype).as_numpy_dtype
        shape = manifest.inputs[0].shape
        self.fixed_batch: int | None = shape[0] if shape else None
        content = _read(manifest, path)
        try:
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
            if manifest.bytes > _LARGE_GRAPH_BYTES:
                config.graph_options.rewrite_options.disable_meta_optimizer = True
            self._session = v1.Session(graph=graph, config=config)
            # Prepared once; Session.run would look the feeds and fetches up each time.
            self._call = self._session.make_callable(
                [graph.get_tensor_by_name(output.name) for output in manifest.outputs],
                [graph.get_tensor_by_name(manifest.inputs[0].name)],
            )
            self._warm(settings.micro_batch)
        except (tf.errors.OpError, ValueError, KeyError, TypeError) as error:
            if self._session is not None:
                self._session.close()
            text = str(error.args[0] if error.args else error)
            raise ModelUnavailableError(
                f"{manifest.name}@{manifest.version} cannot be loaded: "
                f"{(text.splitlines() or [type(error).__name__])[0][:300]}"
            ) from error
        self.load_seconds = time.monotonic() - started

    def run(self, batch: npt.NDArray[np.generic]) -> list[npt.NDArray[Any]]:
        """Run inputs (images, ...) and return one array (images, ...) per output.

        A graph whose batch dimension is fixed is run in pieces of that size, the last one padded
        with zeros, which is invisible in the answer.
        """
        fixed = self.fixed_batch
        if fixed is None:
            outputs: list[npt.NDArray[Any]] = self._call(batch)
            return outputs
        pieces = []
        for start in range(0, len(batch), fixed):
            piece = batch[start : start + fixed]
            padding = [(0, fixed - len(piece))] + [(0, 0)] * (batch.ndim - 1)
            answers = self._call(np.pad(piece, padding))
            pieces.append([_rows(answer, fixed)[: len(piece)] for answer in answers])
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]

    def close(self) -> None:
        """Free the session."""
        self._session.close()

    def _warm(self, micro_batch: int) -> None:
        """Run once for one image and once for a full batch, so that no request pays for it."""
        spec = self.manifest.preprocessing
        height, width = spec.size
        rows: dict[str, tuple[int, ...]] = {
            "NHWC": (height, width, spec.channels),
            "NCHW": (spec.channels, height, width),
            "HW": (height, width),
            "flat": (height * width * spec.channels,),
        }
        for count in (1, micro_batch):
            self.run(np.zeros((count, *rows[spec.layout]), self.dtype))


def _rows(answer: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Return an output as (images, ...), also where a graph of batch 1 drops that dimension."""
    return answer if answer.ndim > 0 and len(answer) == count else answer.reshape(count, -1)


def _read(manifest: Manifest, path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelUnavailableError(
            f"The graph of {manifest.name}@{manifest.version} cannot be read: {error.strerror}."
        ) from error
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise ModelUnavailableError(
            f"The graph file of {manifest.name}@{manifest.version} was changed since it was "
            "published (its sha256 differs): freeze the model again."
        )
    return content
