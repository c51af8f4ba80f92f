"""What optimising is worth: the same networks frozen with and without, run in turns.

    python -m tests.bench.bench_optimise [--rounds N] [--threads N] [--size PIXELS]

MobileNetV2 as Keras has it, and a network of convolutions with batch normalisation written out, as
many wrote it for TensorFlow 1. Both have random weights, on which speed does not depend. Graphs are
loaded as a worker does it, which lets TensorFlow optimise them once more.
"""

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.bench.frozen import frozen
from tests.bench.pacing import pace
from worker.inference.graph import LoadedGraph
from worker.settings import Settings

SIZES = (1, 32)  # of micro-batches
CLASSES = 10


def save_mobilenet(path: Path, side: int) -> Path:
    """Save Keras's MobileNetV2, narrow."""
    import keras

    model = keras.applications.MobileNetV2(
        (side, side, 3), alpha=0.35, weights=None, classes=CLASSES
    )
    model.save(path / "mobilenet.keras")
    return path / "mobilenet.keras"


def save_convolutions(path: Path, side: int) -> Path:
    """Save a checkpoint of twelve convolutions, each with a normalisation written out."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        hidden = v1.placeholder(tf.float32, [None, side, side, 3], name="x")
        for number in range(12):
            with v1.variable_scope(f"layer{number}"):
                width = 16 * 2 ** (number // 3)
                kernel = v1.get_variable("kernel", [3, 3, hidden.shape[-1], width])
                hidden = tf.nn.conv2d(hidden, kernel, 2 if number % 3 == 0 else 1, "SAME")
                ones, zeros = v1.ones_initializer(), v1.zeros_initializer()
                gamma, variance = (
                    v1.get_variable(name, [width], initializer=ones)
                    for name in ("gamma", "variance")
                )
                beta, mean = (
                    v1.get_variable(name, [width], initializer=zeros) for name in ("beta", "mean")
                )
                scaled = gamma * (hidden - mean) / tf.sqrt(variance + 1e-3)
                hidden = tf.nn.relu(scaled + beta)
        weights = v1.get_variable("weights", [hidden.shape[-1], CLASSES])
        tf.nn.softmax(tf.matmul(tf.reduce_mean(hidden, [1, 2]), weights), name="y_pred")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(path / "convolutions.ckpt"))
    return path / "convolutions.ckpt"


NETWORKS = {"MobileNetV2 (0.35)": save_mobilenet, "convolutions": save_convolutions}


def load(source: Path, optimise: bool, settings: Settings) -> tuple[LoadedGraph, dict[str, Any]]:
    """Freeze the source and load what came out."""
    name = f"{source.stem}-{'optimised' if optimise else 'plain'}"
    return frozen(name, source, {"optimise": optimise, "scores": "logits"}, settings)


def rates(
    graphs: list[LoadedGraph], images: npt.NDArray[np.generic], size: int, rounds: int
) -> list[float]:
    """Return images per second of each graph, the medians of rounds in turns."""
    found: list[list[float]] = [[] for _ in graphs]
    for _ in range(rounds):
        for graph, rows in zip(graphs, found, strict=True):
            rows.append(pace(partial(graph.run, images[:size])).passed * size)
    return [median(rows) for rows in found]


def main() -> int:
    """Print a table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--threads", type=int, default=1, help="of one operation")
    options.add_argument("--size", type=int, default=96, help="of an image's side, in pixels")
    asked = options.parse_args()
    images = np.random.default_rng(0).random((max(SIZES), asked.size, asked.size, 3), np.float32)
    print(f"{asked.rounds} rounds in turns, {asked.threads} thread(s), images/s, medians")
    print(f"load averages {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
    print(
        f"{'network':<20} {'batch':>5} {'nodes':>11} {'folded':>8} {'load s':>11} "
        f"{'plain':>7} {'optimised':>9} {'ratio':>5}"
    )
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(data=Path(data), intra_op_threads=asked.threads)
        for name, save in NETWORKS.items():
            source = save(Path(data), asked.size)
            graphs, results, seconds = [], [], []
            for optimise in (False, True):
                graph, result = load(source, optimise, settings)
                graphs.append(graph)
                results.append(result)
                seconds.append(graph.load_seconds)
            nodes = " -> ".join(str(result["nodes_after"]) for result in results)
            load_s = " -> ".join(f"{one:.1f}" for one in seconds)
            for size in SIZES:
                plain, optimised = rates(graphs, images, size, asked.rounds)
                print(
                    f"{name:<20} {size:>5} {nodes:>11} "
                    f"{results[1]['optimised']['batch_norms']:>8} {load_s:>11} "
                    f"{plain:>7,.0f} {optimised:>9,.0f} {optimised / plain:>5.2f}"
                )
            for graph in graphs:
                graph.close()
    return 0


if __name__ == "__main__":
    started = time.monotonic()
    status = main()
    print(f"{time.monotonic() - started:.0f} s in all")
    sys.exit(status)
