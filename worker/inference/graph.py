"""One version, loaded and warmed in this process, with either runtime."""

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from worker.errors import ModelUnavailableError
from worker.inference.checking import check
from worker.inference.run_size import RunSizes
from worker.inference.tensorflow_session import TensorFlowSession
from worker.models.manifest import Manifest, Tensor
from worker.pool.allocator import reusing_freed
from worker.pool.watchdog import Watchdog
from worker.settings import Settings

Array = npt.NDArray[Any]
_WARMED_S = 0.5  # a full batch is run before the first request if it is likely to take less
# A run is taken for hanging after so many times the duration of the first runs.
_TIMES_ONE, _TIMES_FIRST = 20, 5


class RuntimeSession(Protocol):
    """A graph in a runtime. Safe for threads."""

    FAILURES: ClassVar[tuple[type[Exception], ...]]  # raised where a graph cannot be loaded or run
    dtype: npt.DTypeLike  # of the input
    clock: Callable[[], float]  # for runs, in seconds: the thread's time, if it works alone

    def __init__(
        self,
        read: Callable[[], bytes],
        source: Tensor,
        outputs: Sequence[str],
        settings: Settings,
    ) -> None:
        """Load what `read` returns; `source` is the input and `outputs` are names of tensors."""

    def begin(self, batch: Array) -> list[Array]:
        """Run the first part of the graph on a batch (images, ...); return what `finish` takes."""

    def finish(self, intermediate: list[Array]) -> list[Array]:
        """Run the rest on the results of one or several batches; return one array per output."""

    def close(self) -> None:
        """Free it."""


class LoadedGraph:
    """A published version in a session of its own, ready to run. Safe for threads.

    Raises `ModelUnavailableError` where the file is missing, was changed since it was published
    (its sha256 is compared with the manifest's), holds what must not be run or cannot be loaded,
    and what
    `Manifest.classifying` raises where it does not classify.
    """

    def __init__(
        self,
        manifest: Manifest,
        path: Path,
        settings: Settings,
        *,
        most_images: int | None = None,
        watchdog: Watchdog | None = None,
        warm: bool = True,
    ) -> None:
        """Load it, and run it for the first times if it is to be `warm`.

        A run has `most_images` at most, else as many as a micro-batch; `watchdog` watches over it.
        """
        started = time.monotonic()
        self.manifest = manifest
        self.preprocessing, self.scores = manifest.classifying()
        self.fixed_batch = manifest.inputs[0].fixed_batch
        most = min(settings.micro_batch, most_images or settings.micro_batch)
        self._most_images = most
        self._run_sizes = RunSizes(most)
        self._watchdog = watchdog or Watchdog()
        self._hang_s, self._most_s = settings.hang_time_s, settings.run_time_limit_s
        self._one_s = 0.0  # that a run of one image took
        self._first_s = 0.0  # that the very first run took
        self._called = f"{manifest.name}@{manifest.version}"
        runtime = _runtime(manifest)
        session: RuntimeSession | None = None
        try:
            outputs = [output.name for output in manifest.outputs]
            with reusing_freed():
                read = partial(_read, manifest, path)
                session = self._session = runtime(read, manifest.inputs[0], outputs, settings)
                self.dtype = session.dtype
                if warm:
                    self._warm(most)
        except runtime.FAILURES as error:
            if session is not None:
                session.close()
            text = str(error.args[0] if error.args else error)
            raise ModelUnavailableError(
                f"{manifest.name}@{manifest.version} cannot be loaded: "
                f"{(text.splitlines() or [type(error).__name__])[0][:300]}"
            ) from error
        self.load_seconds = time.monotonic() - started

    def run(self, batch: npt.NDArray[np.generic]) -> list[Array]:
        """Run inputs (images, ...) and return one array (images, ...) per output.

        It is done in several runs, of the size that was measured to be best. Of an output that has
        no row for each image, the last run's value is returned.
        """
        with self._watchdog.watching(self._called, self.limit_s(len(batch))):
            return self._run(batch)

    def limit_s(self, images: int) -> float:
        """Return the seconds after which a run of so many images may be taken for hanging."""
        usual = max(_TIMES_ONE * self._one_s * images, _TIMES_FIRST * self._first_s)
        return min(self._most_s, max(self._hang_s, usual))

    def _run(self, batch: npt.NDArray[np.generic]) -> list[Array]:
        if self.fixed_batch is not None:
            return self._padded(batch, self.fixed_batch)
        runs, start = [], 0
        while waiting := min(len(batch) - start, self._most_images):
            size = self._run_sizes.next(waiting)
            runs.append((size, self._begin(batch[start : start + size])))
            start += size
        return self._session.finish(_joined(runs))

    def run_at_once(self, batch: npt.NDArray[np.generic]) -> list[Array]:
        """Do what `run` does in one run, or in as many as a graph's fixed batch requires."""
        if self.fixed_batch is not None:
            return self._padded(batch, self.fixed_batch)
        return self._session.finish(self._begin(batch))

    @property
    def efficient(self) -> int:
        """The number of images from which on a run costs little more per image than the best."""
        return self.fixed_batch or self._run_sizes.efficient

    def close(self) -> None:
        """Free the session."""
        self._session.close()

    def _begin(self, batch: Array) -> list[Array]:
        clock = self._session.clock
        started = clock()
        intermediate = self._session.begin(batch)
        self._run_sizes.ran(len(batch), clock() - started)
        return intermediate

    def _padded(self, batch: Array, fixed: int) -> list[Array]:
        """Run batches of a fixed size, the last one padded with zeros; drop their answers."""
        session, runs = self._session, []
        for start in range(0, len(batch), fixed):
            part = batch[start : start + fixed]
            padding = [(0, fixed - len(part))] + [(0, 0)] * (batch.ndim - 1)
            answers = session.finish(session.begin(np.pad(part, padding)))
            runs.append([_rows(answer, fixed)[: len(part)] for answer in answers])
        return [np.concatenate(parts) for parts in zip(*runs, strict=True)]

    def _warm(self, micro_batch: int) -> None:
        """Run once for one image and once for a full batch, so that no request has to wait for it.

        The very first run copies the weights. The first full batch prepares little more. Where it
        would take long it is left to the first request, so that the version is ready sooner.
        """
        one = np.zeros((1, *self.preprocessing.shape), self.dtype)
        started = time.monotonic()
        self.run_at_once(one)
        self._first_s = time.monotonic() - started
        clock_started, started = self._session.clock(), time.monotonic()
        self.run_at_once(one)
        self._one_s = time.monotonic() - started
        if (self._session.clock() - clock_started) * micro_batch < _WARMED_S:
            self.run_at_once(np.repeat(one, micro_batch, axis=0))


def _runtime(manifest: Manifest) -> type[RuntimeSession]:
    if manifest.runtime == "onnxruntime":
        # After the fork, and only where such a version is served: it costs memory.
        from worker.inference.onnx_session import OnnxSession  # noqa: PLC0415

        return OnnxSession
    return TensorFlowSession


def _joined(runs: Sequence[tuple[int, list[Array]]]) -> list[Array]:
    """Return the arrays of several runs, each with its number of images, joined."""
    if len(runs) == 1:
        return runs[0][1]
    joined = []
    for arrays in zip(*(arrays for _, arrays in runs), strict=True):
        alike = zip(arrays, runs, strict=True)
        by_image = all(array.shape[:1] == (size,) for array, (size, _) in alike)
        joined.append(np.concatenate(arrays) if by_image else arrays[-1])
    return joined


def _rows(answer: Array, count: int) -> Array:
    """Return an output as (images, ...), also where a graph of batch 1 drops that dimension."""
    return answer if answer.ndim > 0 and len(answer) == count else answer.reshape(count, -1)


def _read(manifest: Manifest, path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelUnavailableError(
            f"The graph of {manifest.name}@{manifest.version} cannot be read: {error.strerror}."
        ) from error
    if hashlib.sha256(content).hexdigest() != manifest.served.sha256:
        raise ModelUnavailableError(
            f"The graph file of {manifest.name}@{manifest.version} was changed since it was "
            "published (its sha256 differs): freeze the model again."
        )
    check(manifest, content)
    return content
