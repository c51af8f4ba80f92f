"""The two runtimes side by side, on the tutorial's dog/cat network and its photographs.

    PERMAFROST_FIXTURES=... python -m tests.bench.bench_runtimes [--rounds N] [--threads N]

Both graphs are frozen from the checkpoint as a person would do it, loaded as a worker does, and run
in turns, so that a machine that becomes faster or slower meanwhile does not decide the ratio.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from freezing.process import freeze
from worker.images.decode import decode
from worker.images.preprocess import prepare
from worker.inference.graph import LoadedGraph
from worker.jobs.requests import FreezeRequest
from worker.models.manifest import Runtime
from worker.models.registry import Registry
from worker.settings import Settings

RUNTIMES: tuple[Runtime, ...] = ("tensorflow", "onnxruntime")
SIZES = (1, 32)  # of micro-batches
ROUND_S = 0.5  # that one runtime is run for before it is the other's turn


def load(checkpoint: Path, runtime: Runtime, settings: Settings) -> LoadedGraph:
    """Freeze the checkpoint for a runtime and load it."""
    registry = Registry(settings.models_folder)
    workdir = settings.data / runtime
    workdir.mkdir(parents=True)
    fields = {"name": runtime, "outputs": ["y_pred"], "runtime": runtime}
    freeze(
        FreezeRequest.parse({**fields, "preprocessing": "zero_one"}),
        checkpoint,
        workdir=workdir,
        registry=registry,
        job_id=runtime,
        settings=settings,
        on_log=lambda _: None,
        cancelled=lambda: False,
    )
    manifest = registry.manifest(runtime, 1)
    return LoadedGraph(manifest, registry.served_path(manifest), settings)


def images_per_second(graph: LoadedGraph, images: npt.NDArray[np.generic], size: int) -> float:
    """Run for a while in micro-batches of `size`."""
    started, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < ROUND_S:
        graph.run(images[:size])
        done += size
    return done / passed


def main() -> int:
    """Print a table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--threads", type=int, default=1, help="of one operation")
    asked = options.parse_args()
    folder = os.environ.get("PERMAFROST_FIXTURES")
    if not folder:
        print("PERMAFROST_FIXTURES is not set.", file=sys.stderr)
        return 2
    tutorial = Path(folder) / "tutorial-dogs-cats"
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(data=Path(data), intra_op_threads=asked.threads)
        graphs = {r: load(tutorial / "checkpoint", r, settings) for r in RUNTIMES}
        first = graphs["tensorflow"]
        photographs = sorted((tutorial / "images").rglob("*.jpg"))[: max(SIZES)]
        images = np.stack(
            [
                prepare(
                    decode(path.read_bytes(), most_pixels=10**8), first.preprocessing, first.dtype
                )
                for path in photographs
            ]
        )
        apart = np.abs(graphs["onnxruntime"].run(images)[0] - first.run(images)[0]).max()
        print(f"{asked.rounds} rounds in turns, {asked.threads} thread(s), images/s, medians")
        print(f"load averages {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
        print(f"{'batch':>5}  {'tensorflow':>10}  {'onnxruntime':>11}  {'ratio':>5}")
        for size in SIZES:
            rates: dict[Runtime, list[float]] = {runtime: [] for runtime in RUNTIMES}
            for _ in range(asked.rounds):
                for runtime in RUNTIMES:
                    rates[runtime].append(images_per_second(graphs[runtime], images, size))
            one, two = (median(rates[runtime]) for runtime in RUNTIMES)
            print(f"{size:>5}  {one:>10,.0f}  {two:>11,.0f}  {two / one:>5.2f}")
        print(f"largest difference between their answers: {apart:.2g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
