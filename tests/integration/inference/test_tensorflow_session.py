"""A GraphDef in TensorFlow: who runs it, and what it refuses to run."""

import gc
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest
import tensorflow as tf

from tests.support.system import ROOT, clean_environment
from worker.inference.onednn import VARIABLE, switch_on
from worker.inference.tensorflow_session import TensorFlowSession
from worker.models.manifest import Tensor
from worker.pool.allocator import release_freed
from worker.settings import Settings

v1 = tf.compat.v1
SIDE = 64
SOURCE = Tensor(name="x:0", shape=[None, SIDE, SIDE, 3], dtype="float32")
HALVES = np.full((2, SIDE, SIDE, 3), 0.5, np.float32)


def _session(build: Callable[[Any], list[Any]], settings: Settings) -> TensorFlowSession:
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, SOURCE.shape, name="x")
        outputs = [y.name for y in build(x)]
    return TensorFlowSession(graph.as_graph_def().SerializeToString, SOURCE, outputs, settings)


def _convolved(x: Any) -> list[Any]:
    filters = np.full((3, 3, 3, 64), 0.01, np.float32)
    return [tf.reduce_mean(tf.nn.conv2d(x, filters, 1, "SAME"), [1, 2, 3])]


def _repeated(x: Any) -> list[Any]:
    """A loop as TensorFlow 1 wrote it, of Enter, Switch, NextIteration and so on."""
    v1.disable_control_flow_v2()
    try:
        return [v1.while_loop(lambda n, _: n < 3, lambda n, y: (n + 1, y * 2.0), [0, x])[1]]
    finally:
        v1.enable_control_flow_v2()


def share_of_the_caller(settings: Settings) -> float:
    """Return which share of the processor time of a graph's runs the calling thread used."""
    session = _session(_convolved, settings)
    images = np.zeros((64, SIDE, SIDE, 3), np.float32)
    session.run(images)
    mine, everyones = time.thread_time(), time.process_time()
    for _ in range(5):
        session.run(images)
    return (time.thread_time() - mine) / (time.process_time() - everyones)


def _alone(function: str, settings: Settings, **environment: str) -> str:
    """Return what a function of this module, called in a process of its own, returns."""
    program = (
        "import sys; from pathlib import Path; from worker.settings import Settings; "
        f"from {__name__} import {function} as called; "
        "print(called(Settings(data=Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(settings.data)],
        cwd=ROOT,
        env=clean_environment(TF_CPP_MIN_LOG_LEVEL="3", **environment),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_graph_is_run_by_the_thread_that_asks_for_it(settings: Settings) -> None:
    assert _session(_convolved, settings).clock is time.thread_time
    # In a process of its own, as a worker's is: the first session decides of how many threads
    # the processor's pool has, and other tests have made others here.
    assert float(_alone("share_of_the_caller", settings)) > 0.8


def test_a_loop_of_tensorflow_1_is_run_by_its_threads(settings: Settings) -> None:
    session = _session(_repeated, settings)
    assert session.clock is time.perf_counter
    assert (session.run(HALVES)[0] == 4.0).all()


def copies_of_weights(settings: Settings) -> float:
    """Return how many times as large as its weights a process becomes by a graph."""
    side = 4096
    source = Tensor(name="x:0", shape=[None, side], dtype="float32")
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, source.shape, name="x")
        y = tf.matmul(x, np.random.default_rng(1).random((side, side), np.float32))
    content = [graph.as_graph_def().SerializeToString()]
    size = len(content[0])
    _session(_convolved, settings).run(HALVES)  # makes what there is once for a process
    del graph, x
    gc.collect()
    before = psutil.Process().memory_info().rss
    session = TensorFlowSession(content.pop, source, [y.name], settings)
    session.run(np.zeros((1, side), np.float32))
    release_freed()
    return (psutil.Process().memory_info().rss - before) / size


def test_weights_are_kept_no_oftener_than_tensorflow_needs_them(settings: Settings) -> None:
    assert float(_alone("copies_of_weights", settings)) < 3.5


def test_a_graph_may_have_functions(settings: Settings) -> None:
    def branching(x: Any) -> list[Any]:
        return [tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2.0, lambda: x * 3.0)]

    session = _session(branching, settings)
    assert (session.run(HALVES)[0] == 1.0).all()
    assert (session.run(-HALVES)[0] == -1.5).all()


@pytest.mark.parametrize("content", [b"\xff\xff", b"no graph", b"\x0a\x04\x12\x02No"])
def test_what_is_no_graph_is_refused(settings: Settings, content: bytes) -> None:
    with pytest.raises(TensorFlowSession.FAILURES):
        TensorFlowSession(lambda: content, SOURCE, ["x:0"], settings)


def test_more_threads_are_used_where_the_settings_ask_for_them(settings: Settings) -> None:
    session = _session(_convolved, settings.model_copy(update={"inter_op_threads": 2}))
    assert session.clock is time.perf_counter
    assert session.run(HALVES)[0].shape == (2,)


def test_an_input_may_be_an_output_too(settings: Settings) -> None:
    session = _session(lambda x: [x, x * 2.0], settings)
    same, twice = session.run(HALVES)
    assert np.array_equal(same, HALVES)
    assert (twice == 1.0).all()


@pytest.mark.parametrize("batch", [HALVES[:, 1:], HALVES[0], HALVES.astype(np.float64)])
def test_inputs_of_another_shape_or_type_are_refused(settings: Settings, batch: Any) -> None:
    session = _session(_convolved, settings)
    with pytest.raises(ValueError, match="the graph takes"):
        session.run(batch)


def answers_of_groups(settings: Settings) -> float:
    """Run a convolution in three groups, and return what it answers for `HALVES`."""

    def in_groups(x: Any) -> list[Any]:
        y = tf.nn.conv2d(x, np.full((1, 1, 1, 6), 0.25, np.float32), 1, "SAME")
        return [tf.reduce_mean(tf.nn.relu(tf.nn.bias_add(y, np.ones(6, np.float32))), [1, 2, 3])]

    return float(_session(in_groups, settings).run(HALVES)[0][0])


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_a_convolution_may_have_groups_with_onednn_and_without(
    settings: Settings, onednn: str
) -> None:
    assert _alone("answers_of_groups", settings, **{VARIABLE: onednn}) == "1.125"


@pytest.mark.parametrize("chosen", ["0", None])
def test_onednn_is_on_unless_a_person_says_no(chosen: str | None) -> None:
    supported: dict[str, str] = {}
    switch_on(supported)
    if not supported:
        pytest.skip("This processor has no AVX2, so TensorFlow decides.")
    environment = clean_environment(TF_CPP_MIN_LOG_LEVEL="3")
    environment.pop(VARIABLE, None)
    if chosen is not None:
        environment[VARIABLE] = chosen
    # TensorFlow decides it at its import, hence in a process of its own.
    program = (
        "import worker.inference.tensorflow_session; "
        "print(worker.inference.tensorflow.onednn_is_on())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    assert done.stdout.strip() == str(chosen is None).encode()
