"""The circle closes: what `inspect` prints is typed, and what a refusal advises is followed."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.field.circle import advice, walk
from tests.support.system import System

v1 = tf.compat.v1


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("Turn it off with --set keep_prob=1.0.", [["--set", "keep_prob=1.0"]]),
        (
            "set --set 'a b=0' --set is_training=false.",
            [["--set", "a b=0"], ["--set", "is_training=false"]],
        ),
        (
            "give the size (--preprocessing '{\"size\": [HEIGHT, WIDTH]}').",
            [["--preprocessing", '{"size": [64, 64]}']],
        ),
        ("Name one with `outputs` (--output).", []),
        ("Say it with --averages, or not.", [["--averages"]]),
    ],
)
def test_what_a_sentence_advises_is_found(said: str, typed: list[list[str]]) -> None:
    assert list(advice(said)) == typed


def _of_any_size(path: Path) -> None:
    """Write a graph that takes images of any size and is told in nothing of how large they are."""
    with tf.Graph().as_default() as graph:
        images = v1.placeholder(tf.float32, [None, None, None, 3], name="images")
        kernel = np.random.default_rng(5).normal(size=(3, 3, 3, 4)).astype(np.float32)
        mean = tf.reduce_mean(tf.nn.conv2d(images, kernel, 1, "SAME"), [1, 2])
        tf.nn.softmax(mean, name="probabilities")
    path.write_bytes(graph.as_graph_def().SerializeToString())


def test_a_model_whose_size_must_be_said_is_published_by_what_its_refusal_advises(
    system: System, tmp_path: Path
) -> None:
    _of_any_size(tmp_path / "any-size.pb")
    walked = walk(system.url, tmp_path / "any-size.pb", "circle-of-any-size")
    assert walked.end == "published", walked
    assert "64" in walked.typed[-1]
