"""A trial: a version loaded and run as it will be served, on pictures that are likely to be sent.

It is done in a process of its own, by workers before they load a version that nobody has tried
(`worker.inference.trials`) and by a freeze before it publishes one. What the version does beyond
its limits ends that process alone.
"""

import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
from PIL import Image

from worker.images.preprocess import prepare
from worker.inference.graph import LoadedGraph
from worker.inference.tensorflow import tf
from worker.models.manifest import Manifest, Measured
from worker.models.preprocessing import Preprocessing
from worker.out_of_memory import is_out_of_memory
from worker.pool.allocator import release_freed
from worker.pool.memory import limit_data
from worker.pool.threads import start_observer
from worker.settings import Settings

Array = npt.NDArray[Any]
_FILES_OF_LOADING = 16  # times a version's file that loading it may take
_FULL_S = 2.0  # that the largest run of a trial should take at most
_NOISE_SEED = 20_240_229
_SMALL_BYTES = 16 * 1024 * 1024  # a run that takes less says nothing about larger ones
_LOOK_S = 0.002  # between two measurements of a run's memory; only long runs count


class TrialMemoryError(Exception):
    """A run of one image took more memory than a run may; `str` says which run."""


def edge_inputs(
    preprocessing: Preprocessing, dtype: npt.DTypeLike
) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    """Give inputs (height, width, ...) with what they are called, that no pattern stands for.

    The first one is what a version is warmed with.
    """
    height, width = preprocessing.size
    yield "an input of zeros", np.zeros(preprocessing.shape, dtype)
    noise = np.random.default_rng(_NOISE_SEED).integers(0, 256, (height, width, 3), np.uint8)
    pictures = {
        "a black picture": np.zeros((height, width, 3), np.uint8),
        "a white picture": np.full((height, width, 3), 255, np.uint8),
        "a picture of noise": noise,
    }
    for called, pixels in pictures.items():
        yield called, prepare(Image.fromarray(pixels), preprocessing, dtype)


def loading_bytes(manifest: Manifest, settings: Settings) -> int:
    """Return the memory that loading a version may take."""
    return settings.run_memory_bytes + _FILES_OF_LOADING * manifest.served.bytes


def attempt(
    manifest: Manifest,
    path: Path,
    settings: Settings,
    tell: Callable[[str, int], None],
    *,
    most_images: int | None = None,
    full_s: float = _FULL_S,
) -> Measured:
    """Load a version and run it on single pictures and on full micro-batches of them.

    The largest runs should take `full_s` each, and have fewer images where those would take longer.
    `tell` hears what is done next, as in "It crashed while ...", and with how many images. Raises
    `ModelUnavailableError` where it cannot be loaded, `TrialMemoryError`, and what its runtime
    raises.
    """
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        session.run(tf.constant(0.0))  # what the runtime takes for itself is not the version's
    process = psutil.Process()
    before = process.memory_info()
    limit_data(before.data + loading_bytes(manifest, settings))
    tell("loading it", 0)
    graph = LoadedGraph(manifest, path, settings, most_images=most_images, warm=False)
    most = graph.fixed_batch or min(settings.micro_batch, most_images or settings.micro_batch)
    edges = list(edge_inputs(graph.preprocessing, graph.dtype))
    gc.collect()
    release_freed()
    limit_data(process.memory_info().data + settings.run_memory_bytes)
    seconds = 0.0
    for called, one in edges:
        tell(f"running {called}", 1)
        try:
            for _ in range(2):  # the first run of all prepares the others
                began = monotonic()
                graph.run_at_once(one[np.newaxis])
                seconds = monotonic() - began
        except Exception as error:
            if is_out_of_memory(error):
                raise TrialMemoryError(f"running {called}") from error
            raise
    release_freed()
    loaded = max(0, process.memory_info().rss - before.rss)
    if graph.fixed_batch is not None:
        return Measured(micro_batch=most, run_bytes=0, loaded_bytes=loaded, seconds=seconds)
    size = max(1, min(most, int(full_s / max(seconds, 1e-6))))
    while True:
        try:
            taken = max(_run_full(graph, called, one, size, process, tell) for called, one in edges)
            break
        except Exception as error:
            if size == 1 or not is_out_of_memory(error):
                raise
            size = most = size // 2
    if taken > _SMALL_BYTES:
        most = min(most, max(size, int(settings.run_memory_bytes / (taken / size))))
    return Measured(micro_batch=most, run_bytes=taken, loaded_bytes=loaded, seconds=seconds)


def _run_full(
    graph: LoadedGraph,
    called: str,
    one: Array,
    size: int,
    process: psutil.Process,
    tell: Callable[[str, int], None],
) -> int:
    """Run so many of the same input at once; return the memory that it took."""
    batch = np.repeat(one[np.newaxis], size, axis=0)
    tell(f"running {called} {size} times at once", size)
    release_freed()
    before = most = process.memory_info().rss
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(_LOOK_S):
            most = max(most, process.memory_info().rss)

    watching = start_observer("memory", watch)
    try:
        graph.run_at_once(batch)
        most = max(most, process.memory_info().rss)
    finally:
        over.set()
        watching.join()
    return most - before
