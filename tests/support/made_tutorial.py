"""A small network as the tutorial writes and saves one, and photographs with its own answers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

v1: Any = tf.compat.v1

SIDE = 32
CLASSES = ("cats", "dogs")
PHOTOGRAPHS_PER_CLASS = 10


@dataclass(frozen=True, kw_only=True)
class Tutorial:
    """A folder of `checkpoint/`, `images/` and `expected.json`, and the size of the network."""

    name: str
    folder: Path
    photographs: int
    parameters: int
    nodes_before: int


def make_tutorial(folder: Path) -> Tutorial:
    """Draw photographs, save a network by TensorFlow 1's Saver, and note its answers unfrozen."""
    paths = draw_photographs(folder / "images")
    (folder / "checkpoint").mkdir()
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.set_random_seed(11)
        x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="x")
        y_true = v1.placeholder(tf.float32, [None, len(CLASSES)], name="y_true")
        kernel = _variable("kernel", [3, 3, 3, 8])
        layer = tf.nn.relu(tf.nn.conv2d(x - 0.5, kernel, 1, "SAME"))
        layer = tf.nn.max_pool2d(layer, 2, 2, "SAME")
        layer = tf.reshape(layer, [-1, SIDE * SIDE * 2])
        layer = tf.nn.relu(tf.matmul(layer, _variable("hidden", [SIDE * SIDE * 2, 64])))
        logits = tf.matmul(layer, _variable("weights", [64, len(CLASSES)]))
        y_pred = tf.nn.softmax(logits, name="y_pred")
        loss = tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y_true)
        step = v1.train.AdamOptimizer(1e-3).minimize(tf.reduce_mean(loss))
        saver = v1.train.Saver()
        session.run(v1.global_variables_initializer())
        parameters = sum(int(np.prod(v.shape.as_list())) for v in v1.trainable_variables())

        pixels = np.stack([as_pixels(path) for path in paths])
        truth = [[float(path.parent.name == name) for name in CLASSES] for path in paths]
        for _ in range(5):
            session.run(step, {x: pixels, y_true: truth})
        saver.save(session, str(folder / "checkpoint" / "dogs-cats-model"))
        answers = session.run(y_pred, {x: pixels})
    rows = [
        {"path": str(path.relative_to(folder / "images")), "cats": float(a), "dogs": float(b)}
        for path, (a, b) in zip(paths, answers, strict=True)
    ]
    (folder / "expected.json").write_text(json.dumps({"rows": rows}))
    return Tutorial(
        name="made",
        folder=folder,
        photographs=len(paths),
        parameters=parameters,
        nodes_before=len(graph.as_graph_def().node),
    )


def draw_photographs(folder: Path) -> list[Path]:
    """Draw photographs that need no resizing: reddish cats and bluish dogs, each different."""
    chance = np.random.default_rng(5)
    paths = []
    for name, tint in zip(CLASSES, ((60, 0, 0), (0, 0, 60)), strict=True):
        (folder / name).mkdir(parents=True)
        for number in range(PHOTOGRAPHS_PER_CLASS):
            coarse = chance.integers(0, 190, (4, 4, 3)) + np.array(tint)
            picture = Image.fromarray(coarse.astype(np.uint8)).resize((SIDE, SIDE))
            paths.append(folder / name / f"{name}.{number}.jpg")
            picture.save(paths[-1], quality=95)
    return paths


def as_pixels(path: Path) -> Any:
    """Return a photograph's RGB as float32 from 0 to 1."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.float32) / 255


def _variable(name: str, shape: list[int]) -> Any:
    return v1.get_variable(
        name, shape, initializer=v1.variance_scaling_initializer(), use_resource=False
    )
