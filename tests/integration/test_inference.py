"""Graphs in a process and what becomes of claims, with TensorFlow and a real Redis."""

import hashlib
import io
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
import tensorflow as tf
from PIL import Image

from tests.support.api import photograph
from tests.support.polling import wait_until
from tests.support.system import ROOT, clean_environment
from tests.support.work import CLASSIFYING, Work, prediction
from worker.errors import ModelUnavailableError
from worker.images.decode import decode_for
from worker.images.preprocess import prepare
from worker.inference import graph as graph_module
from worker.inference import graphs as graphs_module
from worker.inference import leaving as leaving_module
from worker.inference.classifier import Classifier
from worker.inference.graph import LoadedGraph
from worker.inference.graphs import Graphs
from worker.jobs.records import Lane, PinnedModel, Status
from worker.jobs.roster import Roster
from worker.models.generation import announce_change
from worker.models.manifest import Manifest, ManifestDraft, Runtime, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry
from worker.process import WorkerProcess
from worker.settings import Settings

v1 = tf.compat.v1
Build = Callable[[Any], list[Any]]
RUNTIMES: list[Runtime] = ["tensorflow", "onnxruntime"]
SIDE = 4
TEAL = photograph(size=(SIDE, SIDE))
WHITE = photograph(size=(SIDE, SIDE), color="white")


def _mean(x: Any) -> list[Any]:
    """Two classes: how bright the image is, and how dark."""
    bright = tf.reduce_mean(x, axis=[1, 2, 3])
    return [tf.stack([bright, 1 - bright], axis=1)]


def _graph(build: Build, batch: int | None = None) -> tuple[bytes, list[Any]]:
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, [batch, SIDE, SIDE, 3], name="x")
        outputs = [tf.identity(y, name=f"y{n}") for n, y in enumerate(build(x))]
    return graph.as_graph_def().SerializeToString(), outputs


@pytest.fixture
def registry(settings: Settings) -> Registry:
    return Registry(settings.models_folder)


def _publish(
    registry: Registry,
    tmp_path: Path,
    build: Build = _mean,
    *,
    name: str = "m",
    batch: int | None = None,
    scores: Any = "probabilities",
    runtime: Runtime = "tensorflow",
) -> Manifest:
    content, outputs = _graph(build, batch)
    path = tmp_path / f"{name}.pb"
    path.write_bytes(content)
    accelerated = None
    if runtime == "onnxruntime":
        accelerated = tmp_path / f"{name}.onnx"
        accelerated.write_bytes(_converted(content, [y.name for y in outputs]))
    draft = ManifestDraft(
        name=name,
        inputs=[Tensor(name="x:0", shape=[batch, SIDE, SIDE, 3], dtype="float32")],
        outputs=[Tensor(name=y.name, shape=None, dtype=y.dtype.name) for y in outputs],
        labels=["bright", "dark"],
        preprocessing=Preprocessing(size=(SIDE, SIDE)),
        scores=scores,
        runtime=runtime,
    )
    return registry.publish(draft, path, accelerated=accelerated)


def _converted(content: bytes, outputs: list[str]) -> bytes:
    from tf2onnx import convert

    graph_def = v1.GraphDef.FromString(content)
    model, _ = convert.from_graph_def(graph_def, input_names=["x:0"], output_names=outputs)
    converted: bytes = model.SerializeToString()
    return converted


@pytest.fixture
def work(client: redis.Redis, settings: Settings) -> Work:
    return Work(client, settings)


@pytest.fixture
def graphs(registry: Registry, settings: Settings) -> Graphs:
    return Graphs(registry, settings)


@pytest.fixture
def process(settings: Settings, client: redis.Redis) -> Iterator[WorkerProcess]:
    process = WorkerProcess(settings, CLASSIFYING, lambda _: None)
    yield process
    process.stop()


@pytest.fixture
def classifier(process: WorkerProcess, graphs: Graphs, registry: Registry) -> Classifier:
    return Classifier(process, graphs, registry)


def _patches(width: int, height: int) -> bytes:
    """Return a JPEG of soft patches of colour."""
    patches = np.random.default_rng(0).integers(0, 256, (10, 11, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(patches).resize((width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


def _accept(work: Work, manifest: Manifest, upload: bytes = TEAL) -> str:
    pinned = PinnedModel(name=manifest.name, version=manifest.version, sha256=manifest.sha256)
    return work.accept(prediction(upload, model=pinned))


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
    manifest = _publish(registry, tmp_path, batch=batch, runtime=runtime)
    graph = LoadedGraph(manifest, registry.served_path(manifest), settings)
    inputs = np.random.default_rng(1).random((images, SIDE, SIDE, 3), np.float32)
    (answers,) = graph.run(inputs)
    assert answers.shape == (images, 2)
    assert answers[:, 0] == pytest.approx(inputs.mean(axis=(1, 2, 3)), abs=1e-5)
    assert graph.load_seconds > 0
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
    manifest = _publish(registry, tmp_path)
    run, sizes = LoadedGraph.run, set()

    def noted(graph: LoadedGraph, batch: np.ndarray) -> list[np.ndarray]:
        sizes.add(len(batch))
        return run(graph, batch)

    monkeypatch.setattr(LoadedGraph, "run", noted)
    monkeypatch.setattr(graph_module, "_WARMED_S", most_s)
    LoadedGraph(manifest, registry.served_path(manifest), settings).close()
    assert sizes == warmed


def test_a_graph_of_one_image_may_drop_that_dimension(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    manifest = _publish(registry, tmp_path, lambda x: [tf.reshape(_mean(x)[0], [2])], batch=1)
    graph = LoadedGraph(manifest, registry.graph_path("m", 1), settings)
    (answers,) = graph.run(np.ones((3, SIDE, SIDE, 3), np.float32))
    assert answers.tolist() == [[1, 0]] * 3
    graph.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("damage", ["changed", "cut off", "gone"])
def test_a_graph_file_that_is_damaged_is_not_loaded(
    registry: Registry, settings: Settings, tmp_path: Path, damage: str, runtime: Runtime
) -> None:
    manifest = _publish(registry, tmp_path, runtime=runtime)
    path = registry.served_path(manifest)
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content + b"x" if damage == "changed" else content[:-1])
    said = "cannot be read" if damage == "gone" else "its sha256 differs"
    with pytest.raises(ModelUnavailableError, match=said):
        LoadedGraph(manifest, path, settings)


# -- the graphs of a process ------------------------------------------------------------------


def _states(graphs: Graphs) -> dict[tuple[str, int], tuple[str, int]]:
    return {(row.model, row.version): (row.state, row.loads) for row in graphs.report()}


def test_a_graph_is_loaded_once_however_many_ask_at_once(
    registry: Registry, graphs: Graphs, tmp_path: Path
) -> None:
    manifest = _publish(registry, tmp_path)
    found: list[LoadedGraph] = []
    threads = [
        threading.Thread(target=lambda: found.append(graphs.get(manifest))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(graph) for graph in found}) == 1
    assert _states(graphs) == {("m", 1): ("ready", 1)}


def test_the_least_recently_used_graph_makes_room(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    first, second, third = (_publish(registry, tmp_path, name=name) for name in "abc")
    tight = settings.model_copy(update={"graph_memory_bytes": first.bytes + second.bytes})
    graphs = Graphs(registry, tight)
    for manifest in (first, second, first, third):
        graphs.get(manifest)
    assert _states(graphs) == {
        ("a", 1): ("ready", 1),
        ("b", 1): ("dropped", 1),
        ("c", 1): ("ready", 1),
    }
    graphs.get(second)
    assert _states(graphs)["b", 1] == ("ready", 2)


def test_what_does_not_fit_is_left_for_when_it_is_asked_for(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    first, second, third = (_publish(registry, tmp_path, name=name) for name in "abc")
    tight = settings.model_copy(update={"graph_memory_bytes": first.bytes + second.bytes})
    graphs = Graphs(registry, tight)
    graphs.preload([first, second, third])
    assert _states(graphs) == {
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
    manifest = _publish(registry, tmp_path)
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
    manifest = _publish(registry, tmp_path, runtime="onnxruntime")
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
    _publish(registry, tmp_path, name="a")
    _publish(registry, tmp_path, name="b", runtime="onnxruntime")
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
    manifest = _publish(registry, tmp_path)
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
    assert _states(graphs) == {("m", 1): ("ready", 1)}


def test_versions_that_nobody_asks_for_any_more_are_let_go(
    registry: Registry, graphs: Graphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        graphs.preload([_publish(registry, tmp_path)])
    assert set(_states(graphs)) == {("m", 1), ("m", 2), ("m", 3)}
    monkeypatch.setattr(graphs_module, "_IDLE_S", 0.0)
    graphs.preload([_publish(registry, tmp_path)])
    assert _states(graphs) == {("m", 4): ("ready", 1)}
    assert graphs.get(registry.manifest("m", 2))
    assert _states(graphs)["m", 2] == ("ready", 1)


# -- claims -----------------------------------------------------------------------------------


def test_all_that_waits_is_classified(
    work: Work, classifier: Classifier, registry: Registry, tmp_path: Path
) -> None:
    manifest = _publish(registry, tmp_path)
    ids = [_accept(work, manifest) for _ in range(40)]
    classifier.work(Lane.INTERACTIVE)
    jobs = [work.get(job_id) for job_id in ids]
    assert {job.status for job in jobs} == {Status.SUCCEEDED}
    predictions = jobs[0].result["predictions"]
    assert [row["label"] for row in predictions] == ["dark", "bright"]
    assert predictions[0]["score"] == pytest.approx(1 - 256 / 3 / 255, abs=0.01)  # teal


def test_one_bad_image_costs_only_itself(
    work: Work, classifier: Classifier, registry: Registry, tmp_path: Path
) -> None:
    manifest = _publish(registry, tmp_path)
    good = [_accept(work, manifest) for _ in range(3)]
    bad = _accept(work, manifest, TEAL[:60])
    classifier.work(Lane.INTERACTIVE)
    assert {work.get(job_id).status for job_id in good} == {Status.SUCCEEDED}
    error = work.get(bad).error
    assert error is not None
    assert error["code"] == "truncated"


@pytest.mark.parametrize("reduced", [True, False])
def test_large_photographs_are_decoded_smaller_where_the_settings_let_them(
    work: Work, settings: Settings, registry: Registry, tmp_path: Path, reduced: bool
) -> None:
    settings = settings.model_copy(update={"reduced_decoding": reduced})
    manifest = _publish(registry, tmp_path, lambda x: [*_mean(x), tf.reshape(x, [-1, 48])])
    spec, _ = manifest.classifying()
    upload = _patches(1100, 1000)
    inputs = {}
    for choice in (True, False):
        picture = decode_for(upload, spec if choice else None, most_pixels=10**7)
        row = prepare(picture.image, spec, np.float32, box=picture.box)
        inputs[choice] = row.reshape(-1).tolist()
    assert inputs[True] != inputs[False]
    job_id = _accept(work, manifest, upload)
    process = WorkerProcess(settings, CLASSIFYING, lambda _: None)
    try:
        classifier = Classifier(process, Graphs(registry, settings), registry)
        classifier.work(Lane.INTERACTIVE)
    finally:
        process.stop()
    assert work.get(job_id).result["outputs"] == {"y1:0": inputs[reduced]}


def test_an_image_on_which_the_model_fails_costs_only_itself(
    work: Work, classifier: Classifier, registry: Registry, tmp_path: Path
) -> None:
    def picky(x: Any) -> list[Any]:
        with tf.control_dependencies([v1.assert_less(x, 0.9, message="too bright")]):
            return [tf.identity(_mean(x)[0])]

    manifest = _publish(registry, tmp_path, picky)
    good, bad = _accept(work, manifest), _accept(work, manifest, WHITE)
    classifier.work(Lane.INTERACTIVE)
    assert work.get(good).status is Status.SUCCEEDED
    error = work.get(bad).error
    assert error is not None
    assert error["code"] == "model_failed"


def test_an_answer_that_is_no_number_is_an_error(
    work: Work, classifier: Classifier, registry: Registry, tmp_path: Path
) -> None:
    manifest = _publish(registry, tmp_path, lambda x: [_mean(x)[0] * float("nan")])
    job_id = _accept(work, manifest)
    classifier.work(Lane.INTERACTIVE)
    error = work.get(job_id).error
    assert error is not None
    assert error["code"] == "not_finite"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_further_outputs_are_shown_as_json_can_hold_them(
    work: Work, classifier: Classifier, registry: Registry, tmp_path: Path, runtime: Runtime
) -> None:
    def build(x: Any) -> list[Any]:
        bright = tf.reduce_mean(x, axis=[1, 2, 3])
        return [
            *_mean(x),
            tf.stack([bright * 0 + 0.5, bright / 0, -bright / 0, bright * float("nan")], axis=1),
            tf.cast(bright > 0, tf.bool),
            tf.strings.as_string(tf.cast(bright * 0, tf.int32)),
            tf.reduce_mean(x),  # of all images together
        ]

    manifest = _publish(registry, tmp_path, build, runtime=runtime)
    ids = [_accept(work, manifest) for _ in range(2)]
    classifier.work(Lane.INTERACTIVE)
    for job_id in ids:
        job = work.get(job_id)
        assert job.error is None
        assert job.result["outputs"] == {
            "y1:0": [0.5, None, None, None],
            "y2:0": [True],
            "y3:0": ["0"],
        }


def test_an_output_that_mixes_images_is_an_error_and_not_a_guess(
    work: Work, classifier: Classifier, registry: Registry, tmp_path: Path
) -> None:
    manifest = _publish(registry, tmp_path, lambda x: [tf.transpose(_mean(x)[0])])
    ids = [_accept(work, manifest) for _ in range(4)]
    classifier.work(Lane.INTERACTIVE)
    errors = [work.get(job_id).error for job_id in ids]
    assert all(error is not None and error["code"] == "model_failed" for error in errors)


def test_a_model_that_nobody_can_load_fails_its_jobs_and_says_so(
    work: Work,
    classifier: Classifier,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest = _publish(registry, tmp_path)
    registry.graph_path("m", 1).unlink()
    job_id = _accept(work, manifest)
    classifier.work(Lane.INTERACTIVE)
    assert work.get(job_id).status is Status.RUNNING  # the file may come back
    monkeypatch.setattr(leaving_module, "_PATIENCE_S", 0.0)
    classifier.work(Lane.INTERACTIVE)
    error = work.get(job_id).error
    assert error is not None
    assert error["code"] == "model_unavailable"
    assert error["message"] == "The graph of m@1 cannot be read: No such file or directory."


def test_a_version_without_a_manifest_is_among_what_cannot_be_loaded(
    work: Work,
    classifier: Classifier,
    graphs: Graphs,
    registry: Registry,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a host that does not see the folder of the others."""
    job_id = _accept(work, _publish(registry, tmp_path))
    folder = settings.models_folder / "m" / "1"
    folder.rename(tmp_path / "elsewhere")
    classifier._registry = Registry(settings.models_folder)
    monkeypatch.setattr(leaving_module, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(Roster, "read", lambda _: [_row("ready")])
    classifier.work(Lane.INTERACTIVE)
    (row,) = graphs.report()
    assert (row.model, row.version, row.state) == ("m", 1, "failed")
    assert work.get(job_id).status is Status.RUNNING
    (tmp_path / "elsewhere").rename(folder)
    monkeypatch.setattr(leaving_module, "RETRY_S", 0.0)
    classifier.work(Lane.INTERACTIVE)
    assert _states(graphs) == {("m", 1): ("ready", 1)}
    assert work.get(job_id).status is Status.SUCCEEDED


def _row(state: str, *graphs: tuple[int, str], queue: str = "interactive") -> dict[str, Any]:
    """Return a row of the roster for another worker with versions of `m`."""
    return {
        "id": "another",
        "state": state,
        "queues": [queue],
        "graphs": [{"model": "m", "version": v, "state": s} for v, s in graphs],
    }


@pytest.mark.parametrize(
    ("rows", "fails"),
    [
        ([], True),
        ([_row("ready", (1, "ready"))], False),
        ([_row("ready")], False),  # it has not tried
        ([_row("ready", (1, "loading"))], False),
        ([_row("ready", (2, "failed"))], False),
        ([_row("ready", (1, "failed"))], True),
        ([_row("ready", (1, "failed")), _row("ready", (1, "dropped"))], False),
        ([_row("starting")], True),
        ([_row("stopping", (1, "ready"))], True),
        ([_row("ready", queue="freezing")], True),
    ],
)
def test_items_wait_while_another_worker_may_be_able_to_load_their_version(
    work: Work,
    classifier: Classifier,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[dict[str, Any]],
    fails: bool,
) -> None:
    broken, sound = _publish(registry, tmp_path), _publish(registry, tmp_path, name="n")
    registry.graph_path("m", 1).unlink()
    monkeypatch.setattr(leaving_module, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(Roster, "read", lambda _: rows)
    left, done = _accept(work, broken), _accept(work, sound)
    for _ in range(2):
        classifier.work(Lane.INTERACTIVE)
    assert work.get(left).status is (Status.FAILED if fails else Status.RUNNING)
    assert work.get(done).status is Status.SUCCEEDED
    if not fails:
        claim = work.claim()  # by a worker that can
        assert [(item.item.job_id, item.attempt) for item in claim.items] == [(left, 1)]


@pytest.mark.parametrize(
    ("missing", "code"), [("preprocessing", "takes_no_images"), ("scores", "gives_no_scores")]
)
def test_a_job_of_a_model_that_does_not_classify_fails_and_says_so(
    work: Work,
    classifier: Classifier,
    registry: Registry,
    tmp_path: Path,
    missing: str,
    code: str,
) -> None:
    """The API accepts none; but a version may be older than the worker."""
    draft = _publish(registry, tmp_path).model_dump(include=set(ManifestDraft.model_fields))
    draft[missing] = None
    manifest = registry.publish(ManifestDraft(**draft), tmp_path / "m.pb")
    job_id = _accept(work, manifest)
    classifier.preload()
    classifier.work(Lane.INTERACTIVE)
    error = work.get(job_id).error
    assert error is not None
    assert error["code"] == code


def test_work_that_meets_what_nobody_thought_of_is_tried_again_and_then_given_up(
    work: Work,
    classifier: Classifier,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    manifest = _publish(registry, tmp_path)
    job_id = _accept(work, manifest)
    monkeypatch.setattr(Graphs, "get", fail)
    classifier.work(Lane.INTERACTIVE)
    job = work.get(job_id)
    assert job.error == {
        "code": "poisoned",
        "message": "Given up after 3 attempts. The last one: the worker met RuntimeError: "
        "nobody thought of this",
    }
    assert work.nothing_waits()


def test_a_store_that_fails_ends_the_turn_quietly(
    classifier: Classifier, process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(process.claims, "claim", fail)
    classifier.work(Lane.INTERACTIVE)


def test_a_new_version_is_loaded_before_it_is_asked_for(
    work: Work, classifier: Classifier, graphs: Graphs, registry: Registry, tmp_path: Path
) -> None:
    _publish(registry, tmp_path)
    classifier.preload()
    classifier.follow_registry()
    _publish(registry, tmp_path)
    announce_change(work.client)

    def loaded() -> bool:
        classifier.follow_registry()
        return _states(graphs).get(("m", 2)) == ("ready", 1)

    wait_until(loaded, within_s=20, what="version 2 is loaded")
    assert _states(graphs)["m", 1] == ("ready", 1)
