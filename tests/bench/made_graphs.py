"""Writes graphs whose weights mean nothing, on which speed does not depend.

python -m tests.bench.made_graphs alexnet|mobilenet FILE
"""

import sys
from pathlib import Path

from tests.bench.large_model import network

CLASSES = 1000
SIDE = 224  # px


def write_alexnet(path: Path) -> None:
    """Write a frozen graph as large as AlexNet, 62 million parameters."""
    path.write_bytes(network(seed=1).SerializeToString())


def write_mobilenet(path: Path) -> None:
    """Write MobileNetV2 as Keras makes it, 3.5 million parameters, not frozen."""
    import keras

    model = keras.applications.MobileNetV2((SIDE, SIDE, 3), weights=None, classes=CLASSES)
    model.save(path)


WRITERS = {"alexnet": write_alexnet, "mobilenet": write_mobilenet}

if __name__ == "__main__":
    WRITERS[sys.argv[1]](Path(sys.argv[2]))
