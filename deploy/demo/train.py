"""Train the demo network on a folder of photographs and save a checkpoint that can be frozen.

    python -m deploy.demo.train FOLDER --output PREFIX [--test FOLDER] [--epochs N] ...

FOLDER holds one sub-folder per class. The number of epochs is fixed beforehand and the weights
after the last one are kept, so that no photograph that measures the accuracy also chooses them.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.demo.augmentation import MARGIN, training_batches
from deploy.demo.evaluate import scores_of
from deploy.demo.network import Network, build_network
from deploy.demo.photographs import (
    Photographs,
    PhotographsError,
    find_photographs,
    hold_out,
    read_photographs,
    require_every_class,
)
from deploy.demo.tensorflow1 import tf

# Share of the features that dropout keeps while training.
KEEP_PROB = 0.7
# Epochs in which the learning rate rises from zero, before a half cosine lowers it to zero.
WARM_UP = 1.0
# Weights shrink by this times the learning rate at each step (https://arxiv.org/abs/1711.05101).
WEIGHT_DECAY = 0.05
# How much of the averaged weights stays at each step.
AVERAGING = 0.998


@dataclass(frozen=True, kw_only=True)
class Training:
    """The operations that a training step runs."""

    #: moves the weights, the optimizer's slots and the moving averages by one batch
    step: Any
    #: float32, a scalar: mean cross-entropy of the batch in nats
    loss: Any
    #: float32, a scalar: share of the batch whose likeliest class is right
    accuracy: Any


def build_training(
    network: Network, steps_per_epoch: int, epochs: int, highest_rate: float
) -> Training:
    """Add loss, learning rate schedule and Adam with weight decay to the default graph."""
    loss = tf.reduce_mean(
        tf.nn.softmax_cross_entropy_with_logits_v2(
            labels=tf.stop_gradient(network.y_true), logits=network.logits
        ),
        name="loss",
    )
    right = tf.equal(tf.argmax(network.y_pred, axis=1), tf.argmax(network.y_true, axis=1))
    accuracy = tf.reduce_mean(tf.cast(right, tf.float32), name="accuracy")

    global_step = tf.train.get_or_create_global_step()
    warm_up = tf.cast(global_step + 1, tf.float32) / (min(WARM_UP, epochs / 2) * steps_per_epoch)
    learning_rate = tf.minimum(warm_up, 1.0) * tf.train.cosine_decay(
        highest_rate, global_step, steps_per_epoch * epochs
    )
    optimizer = tf.train.AdamOptimizer(learning_rate)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        moved = optimizer.minimize(loss, global_step=global_step)
    kernels = [v for v in tf.trainable_variables() if v.op.name.endswith("weights")]
    with tf.control_dependencies([moved]):
        shrunk = [
            tf.assign_sub(kernel, learning_rate * WEIGHT_DECAY * kernel) for kernel in kernels
        ]
    return Training(step=tf.group(moved, *shrunk), loss=loss, accuracy=accuracy)


def inference_variables() -> list[Any]:
    """List the variables that `y_pred` is computed from: those trained and moving averages."""
    moving = [v for v in tf.global_variables() if "/moving_" in v.op.name]
    return [*tf.trainable_variables(), *moving]


def load(session: Any, values: Mapping[Any, npt.NDArray[np.float32]]) -> None:
    """Give variables new values without adding to the graph.

    Feeding another value to a variable's initializer is what TF1's `Variable.load` does.
    """
    session.run(
        [variable.initializer for variable in values],
        {variable.initializer.inputs[1]: value for variable, value in values.items()},
    )


def start_from(session: Any, prefix: Path) -> int:
    """Take what fits from a checkpoint by name and shape, and return how many variables did.

    The last layer of a network for other classes does not fit and stays as it was.
    """
    reader = tf.train.load_checkpoint(str(prefix))
    shapes = reader.get_variable_to_shape_map()
    values = {
        variable: reader.get_tensor(variable.op.name)
        for variable in inference_variables()
        if shapes.get(variable.op.name) == variable.shape.as_list()
    }
    load(session, values)
    return len(values)


class WeightAverages:
    """An exponential average over the training steps of all that inference reads.

    It generalises better than the weights of the last step. It lives outside the graph, so that
    the checkpoint holds nothing but the network and its optimizer.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._variables = inference_variables()
        self._averages = session.run(self._variables)
        self._steps = 0

    def follow(self) -> None:
        """Take in the present values."""
        self._steps += 1
        stays = min(AVERAGING, self._steps / (self._steps + 10))
        present = self._session.run(self._variables)
        self._averages = [
            average + (1 - stays) * (value - average)
            for average, value in zip(self._averages, present, strict=True)
        ]

    def swap(self) -> None:
        """Exchange the averages with the values in the session."""
        present = self._session.run(self._variables)
        load(self._session, dict(zip(self._variables, self._averages, strict=True)))
        self._averages = present


@dataclass
class TrainingProgress:
    """What is printed while training goes on."""

    epochs: int
    started: float

    def line(
        self, epoch: int, loss: float, accuracy: float, checked: float | None, speed: float
    ) -> str:
        """One epoch: `accuracy` and `checked` are shares, `speed` is images per second."""
        left = (time.monotonic() - self.started) / epoch * (self.epochs - epoch)
        held_out = "" if checked is None else f"  validation {checked:6.1%}"
        return (
            f"epoch {epoch:3}/{self.epochs}  loss {loss:.3f}  accuracy {accuracy:6.1%}{held_out}"
            f"  {speed:4.0f} images/s  {left / 60:.0f} min left"
        )


def train(
    session: Any,
    network: Network,
    training: Training,
    photographs: Photographs,
    held_out: Photographs,
    options: argparse.Namespace,
    save: Callable[[], None],
) -> None:
    """Train for `options.epochs` epochs, and save the averaged weights after each."""
    random = np.random.default_rng(options.seed)
    size, classes = int(network.x.shape[1]), int(network.y_true.shape[1])
    averages = WeightAverages(session)
    progress = TrainingProgress(epochs=options.epochs, started=time.monotonic())
    for epoch in range(1, options.epochs + 1):
        began, seen, sums = time.monotonic(), 0, np.zeros(2)
        for images, targets in training_batches(photographs, classes, size, options.batch, random):
            feed = {
                network.x: images,
                network.y_true: targets,
                network.is_training: True,
                network.keep_prob: KEEP_PROB,
            }
            _, *measured = session.run([training.step, training.loss, training.accuracy], feed)
            averages.follow()
            seen += len(images)
            sums += np.array(measured) * len(images)
            if sys.stdout.isatty():
                print(f"\repoch {epoch}: {seen}/{len(photographs)}", end="\r", flush=True)
        speed = seen / (time.monotonic() - began)
        averages.swap()
        checked = None
        if len(held_out):
            scores = scores_of(session, held_out.pixels)
            checked = float(np.mean(scores.argmax(axis=1) == held_out.labels))
        save()
        averages.swap()
        print(progress.line(epoch, sums[0] / seen, sums[1] / seen, checked, speed), flush=True)


def run(options: argparse.Namespace) -> None:
    """Read, train and save four files and `labels.txt`, which has a label on each line.

    Raises PhotographsError for folders that cannot be learnt from.
    """
    names, photographs = find_photographs(options.folder)
    labels = options.labels.split(",") if options.labels else names
    if len(labels) != len(names):
        raise PhotographsError(
            f"--labels names {len(labels)} classes, and {options.folder} has {len(names)}."
        )
    if options.test:
        test_names, checks = find_photographs(options.test)
        if test_names != names:
            raise PhotographsError(
                f"{options.test} has other classes than {options.folder}: "
                f"{', '.join(test_names)} instead of {', '.join(names)}."
            )
    else:
        photographs, checks = hold_out(photographs, options.validation, options.seed)
    learnt = read_photographs(photographs, round(options.size * MARGIN))
    require_every_class(learnt, names)
    held_out = read_photographs(checks, options.size)
    print(
        f"{len(learnt)} photographs to train on, {len(held_out)} held out, "
        f"{learnt.unreadable + held_out.unreadable} unreadable and left out; "
        f"{len(names)} classes: {', '.join(labels)}"
    )

    prefix = options.output / "model" if options.output.is_dir() else options.output
    prefix.parent.mkdir(parents=True, exist_ok=True)
    (prefix.parent / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)  # else it says at length that TF1 style is old
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(options.seed)
        network = build_network(options.size, len(names))
        training = build_training(
            network,
            max(1, len(learnt) // options.batch),
            options.epochs,
            options.learning_rate,
        )
        parameters = sum(int(np.prod(v.shape)) for v in tf.trainable_variables())
        print(f"{parameters:,} parameters to train", flush=True)
        saver = tf.train.Saver(save_relative_paths=True)

        def save() -> None:
            saver.save(session, str(prefix))

        session.run(tf.global_variables_initializer())
        if options.start:
            print(f"{start_from(session, options.start)} variables start from {options.start}")
        train(session, network, training, learnt, held_out, options, save)
    print(f"Saved {prefix}: freeze it at y_pred with is_training=false and keep_prob=1.0.")


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; argparse ends the process on a mistake in it."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.train", description=__doc__)
    add = parser.add_argument
    add("folder", type=Path, help="photographs to learn from, one sub-folder for each class")
    add(
        "--output",
        type=Path,
        required=True,
        help="the checkpoint's prefix, or a folder that exists",
    )
    add("--test", type=Path, help="folder to measure on, instead of a share held out of FOLDER")
    add("--validation", type=float, default=0.1, help="share that is held out; 0 for none")
    add("--labels", help="names for the classes, comma between, in the order of the folders")
    add("--size", type=int, default=96, help="side in pixels of what the network sees")
    add("--epochs", type=int, default=40, help="how often each photograph is shown")
    add("--learning-rate", type=float, default=2e-3, help="the highest; Adam's")
    add("--start", type=Path, help="checkpoint to start from, instead of random weights")
    add("--batch", type=int, default=32, help="photographs in a training step")
    add("--seed", type=int, default=1, help="the same seed draws the same batches again")
    options = parser.parse_args(arguments)
    if min(options.epochs, options.batch) < 1:
        parser.error("--epochs and --batch must be 1 or more")
    if options.start and not Path(f"{options.start}.index").is_file():
        parser.error(f"--start: {options.start}.index is not there")
    if options.size < 32:
        parser.error("--size must be 32 or more: the network halves it five times")
    if not 0 <= options.validation < 1:
        parser.error("--validation must be from 0 to less than 1")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when the checkpoint is written, 1 after a sentence that says why not."""
    options = parse_options(arguments)
    try:
        run(options)
    except (PhotographsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped: the checkpoint is that of the last whole epoch.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
