"""The two runtimes side by side, and how near both come to what the processor can do at all.

    PERMAFROST_FIXTURES=... python -m tests.bench.bench_runtimes [--graph NAME] [--rounds N] ...

Both graphs are frozen as a person would do it, loaded as a worker does, and run in turns with a
product of two large matrices, so that a machine that becomes faster or slower meanwhile does not
decide a ratio. Little that multiplies and adds numbers of 32 bits is faster on a core than that
product, so its rate bounds what a runtime can make of a network of convolutions and matrices.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from tests.bench import graphs, photographs
from tests.bench.float_operations import float_operations
from tests.bench.frozen import frozen
from tests.bench.pacing import Pace, pace
from worker.images.decode import Limits, decode
from worker.images.preprocess import prepare
from worker.inference.graph import LoadedGraph
from worker.models.manifest import Runtime
from worker.models.registry import Registry
from worker.settings import Settings

RUNTIMES: tuple[Runtime, ...] = ("tensorflow", "onnxruntime")
SIZES = (1, 4, 8, 32)  # of micro-batches
SIDE = 1500  # rows and columns of the matrices


def loaded(
    graph: graphs.Graph, files: Sequence[Path], settings: Settings
) -> dict[Runtime, LoadedGraph]:
    """Freeze a graph for both runtimes and load it."""
    source = files[0] if len(files) == 1 else files[0].parent
    return {
        runtime: frozen(runtime, source, {**graph.options, "runtime": runtime}, settings)[0]
        for runtime in RUNTIMES
    }


def inputs(graph: LoadedGraph, scratch: Path) -> npt.NDArray[np.generic]:
    """Return photographs as inputs of a graph, (images, ...)."""
    paths, _ = photographs.find(None, scratch)
    return np.stack(
        [
            prepare(
                decode(path.read_bytes(), limits=Limits(pixels=10**8)),
                graph.preprocessing,
                graph.dtype,
            )
            for path in islice(cycle(paths), max(SIZES))
        ]
    )


def show(
    loaded: dict[Runtime, LoadedGraph],
    images: npt.NDArray[np.generic],
    operations: int,
    rounds: int,
) -> None:
    """Measure and print a table."""
    matrix = np.random.default_rng(1).random((SIDE, SIDE), np.float32)
    products: list[float] = []
    ways = {f"{size}": (size, LoadedGraph.run_at_once) for size in SIZES}
    ways[f"{SIZES[-1]}, in the pieces that workers find"] = (SIZES[-1], LoadedGraph.run)
    paces: dict[tuple[str, Runtime], list[Pace]] = {
        (way, runtime): [] for way in ways for runtime in RUNTIMES
    }
    for _ in range(rounds):
        products.append(pace(lambda: matrix @ matrix).used * 2 * SIDE**3)
        for (way, runtime), found in paces.items():
            size, run = ways[way]
            found.append(pace(partial(run, loaded[runtime], images[:size])))
    best = median(products)
    print(f"{operations / 1e6:,.0f} million operations per image")
    print(f"a product of matrices: {best / 1e9:.0f} billion operations per second of a core")
    names = "".join(f"{runtime:>13}" for runtime in RUNTIMES)
    print(f"{'':>36}{'images/s':>26}{'':>7}{'of that product':>26}")
    print(f"{'images per run':>36}{names}{'ratio':>7}{names}")
    for way, (size, _) in ways.items():
        rates, shares = [], []
        for runtime in RUNTIMES:
            rates.append(median(one.passed for one in paces[way, runtime]) * size)
            used = median(one.used for one in paces[way, runtime]) * size
            shares.append(used * operations / best)
        print(
            f"{way:>36}"
            + "".join(f"{rate:>13,.0f}" for rate in rates)
            + f"{rates[1] / rates[0]:>7.2f}"
            + "".join(f"{share:>13.0%}" for share in shares)
        )


def main() -> int:
    """Print a table."""
    known = graphs.known()
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--graph", choices=sorted(known), default=next(iter(known)))
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--threads", type=int, default=1, help="of one operation")
    asked = options.parse_args()
    graph = known[asked.graph]
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(data=Path(data), intra_op_threads=asked.threads)
        both = loaded(graph, graph.source(Path(data)), settings)
        first = both["tensorflow"].manifest
        path = Registry(settings.models_folder).served_path(first)
        images = inputs(both["tensorflow"], Path(data))
        apart = np.abs(both["onnxruntime"].run(images)[0] - both["tensorflow"].run(images)[0])
        print(f"{graph.title}; {asked.rounds} rounds in turns, {asked.threads} thread(s), medians")
        print(f"load averages {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
        show(both, images, float_operations(first, path), asked.rounds)
        print(f"largest difference between their answers: {apart.max():.2g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
