"""The graphs of a process, loaded and run in both runtimes."""

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.bright_model import RUNTIMES, SIDE, mean, publish, states
from tests.support.system import ROOT, clean_environment
from worker.errors import ModelUnavailableError
from worker.inference import graph as graph_module
from worker.inference import graphs as graphs_module
from worker.inference.graph import LoadedGraph
from worker.inference.graphs import Graphs
from worker.models.manifest import Runtime
from worker.models.registry import Registry
from worker.settings import Settings

v1 = tf.compat.v1


@pytest.fixture
def registry(settings: Settings) -> Registry:
    return Registry(settings.models_folder)


@pytest.fixture
def graphs(registry: Registry, settings: Settings) -> Graphs:
    return Graphs(registry, settings)


# -- one graph --------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("batch", [None, 1, 3])
@pytest.mark.parametrize("images", [1, 2, 3, 7])
def test_a_graph_answers_for_each_image_whatever_its_batch(
    registry: Registry,
    settings: Settings,
    tmp_path: Path,
    batch: int | None,
    images: int,
    runtime: Runtime,
) -> None:
    manifest = publish(registry, tmp_path, batch=batch, runtime=runtime)
    graph = LoadedGraph(manifest, registry.served_path(manifest), settings)
    inputs = np.random.default_rng(1).random((images, SIDE, SIDE, 3), np.float32)
    (answers,) = graph.run(inputs)
    assert answers.shape == (images, 2)
    assert answers[:, 0] == pytest.approx(inputs.mean(axis=(1, 2, 3)), abs=1e-5)
    assert graph.load_seconds > 0
    graph.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_pieces_are_put_together_in_order(
    registry: Registry, settings: Settings, tmp_path: Path, runtime: Runtime
) -> None:
    """An output that is not about single images has nothing to be put together."""
    manifest = publish(
        registry,
        tmp_path,
        lambda x: [*mean(x), tf.reduce_max(tf.shape(x)[1:]), tf.reduce_mean(x, axis=[1])],
        runtime=runtime,
    )
    small = settings.model_copy(update={"micro_batch": 2})
    graph = LoadedGraph(manifest, registry.served_path(manifest), small)
    inputs = np.random.default_rng(1).random((7, SIDE, SIDE, 3), np.float32)
    for _ in range(20):  # while it tries one size and the other
        scores, side, columns = graph.run(inputs)
        assert scores[:, 0] == pytest.approx(inputs.mean(axis=(1, 2, 3)), abs=1e-5)
        assert side == SIDE
        np.testing.assert_allclose(columns, inputs.mean(axis=1), atol=1e-5)
    graph.close()


@pytest.mark.parametrize(("most_s", "warmed"), [(float("inf"), {1, 32}), (0.0, {1})])
def test_a_full_batch_is_run_before_the_first_request_unless_it_takes_long(
    registry: Registry,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most_s: float,
    warmed: set[int],
) -> None:
    manifest = publish(registry, tmp_path)
    run, sizes = LoadedGraph.run_at_once, set()

    def noted(graph: LoadedGraph, batch: np.ndarray) -> list[np.ndarray]:
        sizes.add(len(batch))
        return run(graph, batch)

    monkeypatch.setattr(LoadedGraph, "run_at_once", noted)
    monkeypatch.setattr(graph_module, "_WARMED_S", most_s)
    LoadedGraph(manifest, registry.served_path(manifest), settings).close()
    assert sizes == warmed


def test_a_graph_of_one_image_may_drop_that_dimension(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    manifest = publish(registry, tmp_path, lambda x: [tf.reshape(mean(x)[0], [2])], batch=1)
    graph = LoadedGraph(manifest, registry.graph_path("m", 1), settings)
    (answers,) = graph.run(np.ones((3, SIDE, SIDE, 3), np.float32))
    assert answers.tolist() == [[1, 0]] * 3
    graph.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("damage", ["changed", "cut off", "gone"])
def test_a_graph_file_that_is_damaged_is_not_loaded(
    registry: Registry, settings: Settings, tmp_path: Path, damage: str, runtime: Runtime
) -> None:
    manifest = publish(registry, tmp_path, runtime=runtime)
    path = registry.served_path(manifest)
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content + b"x" if damage == "changed" else content[:-1])
    said = "cannot be read" if damage == "gone" else "its sha256 differs"
    with pytest.raises(ModelUnavailableError, match=said):
        LoadedGraph(manifest, path, settings)


# -- the graphs of a process ------------------------------------------------------------------


def test_a_graph_is_loaded_once_however_many_ask_at_once(
    registry: Registry, graphs: Graphs, tmp_path: Path
) -> None:
    manifest = publish(registry, tmp_path)
    found: list[LoadedGraph] = []
    threads = [
        threading.Thread(target=lambda: found.append(graphs.get(manifest))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(graph) for graph in found}) == 1
    assert states(graphs) == {("m", 1): ("ready", 1)}


def test_the_least_recently_used_graph_makes_room(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    first, second, third = (publish(registry, tmp_path, name=name) for name in "abc")
    tight = settings.model_copy(update={"graph_memory_bytes": first.bytes + second.bytes})
    graphs = Graphs(registry, tight)
    for manifest in (first, second, first, third):
        graphs.get(manifest)
    assert states(graphs) == {
        ("a", 1): ("ready", 1),
        ("b", 1): ("dropped", 1),
        ("c", 1): ("ready", 1),
    }
    graphs.get(second)
    assert states(graphs)["b", 1] == ("ready", 2)


def test_what_does_not_fit_is_left_for_when_it_is_asked_for(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    first, second, third = (publish(registry, tmp_path, name=name) for name in "abc")
    tight = settings.model_copy(update={"graph_memory_bytes": first.bytes + second.bytes})
    graphs = Graphs(registry, tight)
    graphs.preload([first, second, third])
    assert states(graphs) == {
        ("a", 1): ("ready", 1),
        ("b", 1): ("ready", 1),
        ("c", 1): ("dropped", 0),
    }
    assert graphs.get(third)


@pytest.mark.parametrize("content", [b"\xff\xff rubbish", b""])
def test_a_graph_that_cannot_be_loaded_is_reported(
    registry: Registry, graphs: Graphs, tmp_path: Path, content: bytes
) -> None:
    """Whatever TensorFlow and its libraries make of it."""
    manifest = publish(registry, tmp_path)
    changed = content or b"\n"
    registry.graph_path("m", 1).write_bytes(changed)
    manifest = manifest.model_copy(update={"sha256": hashlib.sha256(changed).hexdigest()})
    with pytest.raises(ModelUnavailableError, match="m@1 cannot be loaded"):
        graphs.get(manifest)
    (row,) = graphs.report()
    assert (row.state, row.loads) == ("failed", 0)
    assert row.error is not None
    assert row.error.startswith("m@1 cannot be loaded")


@pytest.mark.parametrize("content", [b"\xff\xff rubbish", b""])
def test_a_converted_graph_that_cannot_be_loaded_is_reported(
    registry: Registry, graphs: Graphs, tmp_path: Path, content: bytes
) -> None:
    manifest = publish(registry, tmp_path, runtime="onnxruntime")
    registry.served_path(manifest).write_bytes(content)
    assert manifest.accelerated is not None
    sha256 = hashlib.sha256(content).hexdigest()
    changed = manifest.accelerated.model_copy(update={"sha256": sha256})
    with pytest.raises(ModelUnavailableError, match="m@1 cannot be loaded"):
        graphs.get(manifest.model_copy(update={"accelerated": changed}))
    (row,) = graphs.report()
    assert (row.state, row.loads, row.runtime) == ("failed", 0, "onnxruntime")


def test_onnx_runtime_is_only_loaded_where_a_version_asks_for_it(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    """It costs memory in every process that has it."""
    publish(registry, tmp_path, name="a")
    publish(registry, tmp_path, name="b", runtime="onnxruntime")
    code = """
import sys
from pathlib import Path
from worker.inference.graph import LoadedGraph
from worker.models.registry import Registry
from worker.settings import Settings
registry = Registry(Path(sys.argv[1]))
for name in ("a", "b"):
    manifest = registry.manifest(name, 1)
    LoadedGraph(manifest, registry.served_path(manifest), Settings())
    print(name, "onnxruntime" in sys.modules, "onnx" in sys.modules)
"""
    answer = subprocess.run(
        [sys.executable, "-c", code, str(settings.models_folder)],
        cwd=ROOT,
        env=clean_environment(TF_CPP_MIN_LOG_LEVEL="2"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.stdout.splitlines() == ["a False False", "b True False"], answer.stderr


def test_a_graph_that_failed_is_not_tried_again_at_once(
    registry: Registry, graphs: Graphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = publish(registry, tmp_path)
    path = registry.graph_path("m", 1)
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(ModelUnavailableError):
        graphs.get(manifest)
    path.write_bytes(content)
    with pytest.raises(ModelUnavailableError):
        graphs.get(manifest)
    monkeypatch.setattr(graphs_module, "RETRY_S", 0.0)
    assert graphs.get(manifest)
    assert states(graphs) == {("m", 1): ("ready", 1)}


def test_versions_that_nobody_asks_for_any_more_are_let_go(
    registry: Registry, graphs: Graphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        graphs.preload([publish(registry, tmp_path)])
    assert set(states(graphs)) == {("m", 1), ("m", 2), ("m", 3)}
    monkeypatch.setattr(graphs_module, "_IDLE_S", 0.0)
    graphs.preload([publish(registry, tmp_path)])
    assert states(graphs) == {("m", 4): ("ready", 1)}
    assert graphs.get(registry.manifest("m", 2))
    assert states(graphs)["m", 2] == ("ready", 1)
