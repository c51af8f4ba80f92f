"""What the machine could do at best: one process that only decodes and runs the same graph.

It uses the same functions as a worker, `decode_for`, `prepare` and `LoadedGraph`, in as many
threads as there are cores, and writes nothing down.
"""

import json
import sys
import threading
import time
from itertools import count
from pathlib import Path

import numpy as np

from worker.images.decode import Limits, decode_for
from worker.images.preprocess import prepare
from worker.inference.graph import LoadedGraph
from worker.models.registry import Registry
from worker.settings import Settings


def images_per_second(graph: LoadedGraph, files: list[Path], size: int, threads: int) -> float:
    """Classify `files` in micro-batches of `size`; return the rate."""
    turn = count()
    preprocessing = graph.preprocessing

    def work() -> None:
        while chosen := files[(start := next(turn) * size) : start + size]:
            rows = np.empty((len(chosen), *preprocessing.shape), graph.dtype)
            for path, row in zip(chosen, rows, strict=True):
                picture = decode_for(path.read_bytes(), preprocessing, limits=Limits(pixels=10**8))
                prepare(picture.image, preprocessing, graph.dtype, box=picture.box, out=row)
            graph.run_at_once(rows)

    running = [threading.Thread(target=work) for _ in range(threads)]
    started = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return len(files) / (time.perf_counter() - started)


def load(data: Path, model: str | None = None) -> LoadedGraph:
    """Load what `stable` means for a model, by default the only one of the data folder."""
    registry = Registry(data / "models")
    (manifest,) = (one for one in registry.stable() if model in (None, one.name))
    return LoadedGraph(manifest, registry.served_path(manifest), Settings(data=data))


def main(data: str, folder: str, threads: int, sizes: list[int]) -> dict[int, float]:
    """Return the rate for each size of micro-batch."""
    graph = load(Path(data))
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    images_per_second(graph, files[:500], sizes[0], threads)  # so that everything is warm
    return {size: images_per_second(graph, files, size, threads) for size in sizes}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]))))
