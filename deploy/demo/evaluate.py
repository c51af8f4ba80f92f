"""Measure a checkpoint on a folder of photographs, one sub-folder per class.

    python -m deploy.demo.evaluate PREFIX FOLDER

The checkpoint is restored from its own meta graph, as anybody would who has not its code.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.demo.photographs import (
    PhotographsError,
    Pixels,
    find_photographs,
    read_photographs,
    require_every_class,
)
from deploy.demo.tensorflow1 import tf

# Photographs per run of the graph.
BATCH = 100


def scores_of(session: Any, pixels: Pixels) -> npt.NDArray[np.float32]:
    """Ask `y_pred` about uint8 [N, size, size, 3]: float32 [N, classes]."""
    return np.concatenate(
        [
            session.run(
                "y_pred:0",
                {
                    "x:0": pixels[start : start + BATCH].astype(np.float32) / 255,
                    "is_training:0": False,
                    "keep_prob:0": 1.0,
                },
            )
            for start in range(0, len(pixels), BATCH)
        ]
    )


def evaluate(prefix: Path, folder: Path) -> None:
    """Print the accuracy over all photographs of `folder` and over those of each class."""
    names, found = find_photographs(folder)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.train.import_meta_graph(f"{prefix}.meta").restore(session, str(prefix))
        size = int(graph.get_tensor_by_name("x:0").shape[1])
        classes = int(graph.get_tensor_by_name("y_pred:0").shape[1])
        if classes != len(names):
            raise PhotographsError(f"{folder} has {len(names)} classes, the network {classes}.")
        photographs = read_photographs(found, size)
        require_every_class(photographs, names)
        right = scores_of(session, photographs.pixels).argmax(axis=1) == photographs.labels
    print(f"accuracy {right.mean():.1%}: {right.sum()} of {len(right)} photographs")
    for label, name in enumerate(names):
        of_class = right[photographs.labels == label]
        print(f"  {name}: {of_class.mean():.1%}, {of_class.sum()} of {len(of_class)}")
    if photographs.unreadable:
        print(f"  {photographs.unreadable} unreadable and left out")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when the accuracy is printed, 1 after a sentence that says why not."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.evaluate", description=__doc__)
    parser.add_argument("prefix", type=Path, help="the checkpoint: what precedes .meta")
    parser.add_argument("folder", type=Path, help="photographs, one sub-folder for each class")
    options = parser.parse_args(arguments)
    if not Path(f"{options.prefix}.meta").is_file():
        print(f"error: {options.prefix}.meta is not there.", file=sys.stderr)
        return 1
    try:
        evaluate(options.prefix, options.folder)
    except PhotographsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
