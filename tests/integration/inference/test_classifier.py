"""What becomes of claims in a process with graphs, with TensorFlow and a real Redis."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
import tensorflow as tf
from PIL import Image

from api.described import examples
from tests.support.api import photograph
from tests.support.bright_model import RUNTIMES, SIDE, TEAL, mean, publish, states
from tests.support.polling import wait_until
from tests.support.work import CLASSIFYING, Work, prediction
from worker.contract.workers import Worker, WorkerState
from worker.images.decode import Limits, decode_for
from worker.images.preprocess import prepare
from worker.inference import unavailable as unavailable_module
from worker.inference.classifier import Classifier
from worker.inference.graphs import Graphs
from worker.jobs.records import Lane, PinnedModel, Status
from worker.jobs.roster import Roster
from worker.models.generation import announce_change
from worker.models.manifest import Manifest, ManifestDraft, Runtime
from worker.models.registry import Registry
from worker.pool.process import WorkerProcess
from worker.settings import Settings

v1 = tf.compat.v1
WHITE = photograph(size=(SIDE, SIDE), color="white")


@pytest.fixture
def registry(settings: Settings) -> Registry:
    return Registry(settings.models_folder)


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


def _work_as_another_worker(settings: Settings, registry: Registry) -> None:
    """Work on what waits as a worker with these settings and models does."""
    process = WorkerProcess(settings, CLASSIFYING, lambda _: None)
    try:
        Classifier(process, Graphs(registry, settings), registry).work(Lane.INTERACTIVE)
    finally:
        process.stop()


def _patches(width: int, height: int) -> bytes:
    """Return a JPEG of soft patches of colour."""
    patches = np.random.default_rng(0).integers(0, 256, (10, 11, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(patches).resize((width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


def _accept(work: Work, manifest: Manifest, upload: bytes = TEAL) -> str:
    pinned = PinnedModel(
        name=manifest.name,
        version=manifest.version,
        sha256=manifest.sha256,
        digest=manifest.digest,
    )
    return work.accept(prediction(upload, model=pinned))


def test_all_that_waits_is_classified(
    work: Work, classifier: Classifier, registry: Registry, tmp_path: Path
) -> None:
    manifest = publish(registry, tmp_path)
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
    manifest = publish(registry, tmp_path)
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
    manifest = publish(registry, tmp_path, lambda x: [*mean(x), tf.reshape(x, [-1, 48])])
    spec, _ = manifest.classifying()
    upload = _patches(1100, 1000)
    inputs = {}
    for choice in (True, False):
        picture = decode_for(upload, spec if choice else None, limits=Limits(pixels=10**7))
        row = prepare(picture.image, spec, np.float32, box=picture.box)
        inputs[choice] = row.reshape(-1).tolist()
    assert inputs[True] != inputs[False]
    job_id = _accept(work, manifest, upload)
    _work_as_another_worker(settings, registry)
    assert work.get(job_id).result["outputs"] == {"y1:0": inputs[reduced]}


def test_an_image_on_which_the_model_fails_costs_only_itself(
    work: Work, classifier: Classifier, registry: Registry, tmp_path: Path
) -> None:
    def picky(x: Any) -> list[Any]:
        with tf.control_dependencies([v1.assert_less(x, 0.9, message="too bright")]):
            return [tf.identity(mean(x)[0])]

    manifest = publish(registry, tmp_path, picky)
    good, bad = _accept(work, manifest), _accept(work, manifest, WHITE)
    classifier.work(Lane.INTERACTIVE)
    assert work.get(good).status is Status.SUCCEEDED
    error = work.get(bad).error
    assert error is not None
    assert error["code"] == "model_failed"


def test_an_answer_that_is_no_number_is_an_error(
    work: Work, classifier: Classifier, registry: Registry, tmp_path: Path
) -> None:
    manifest = publish(registry, tmp_path, lambda x: [mean(x)[0] * float("nan")])
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
            *mean(x),
            tf.stack([bright * 0 + 0.5, bright / 0, -bright / 0, bright * float("nan")], axis=1),
            tf.cast(bright > 0, tf.bool),
            tf.strings.as_string(tf.cast(bright * 0, tf.int32)),
            tf.reduce_mean(x),  # of all images together
        ]

    manifest = publish(registry, tmp_path, build, runtime=runtime)
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
    manifest = publish(registry, tmp_path, lambda x: [tf.transpose(mean(x)[0])])
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
    manifest = publish(registry, tmp_path)
    registry.graph_path("m", 1).unlink()
    job_id = _accept(work, manifest)
    classifier.work(Lane.INTERACTIVE)
    assert work.get(job_id).status is Status.RUNNING  # the file may come back
    monkeypatch.setattr(unavailable_module, "_WAIT_S", 0.0)
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
    job_id = _accept(work, publish(registry, tmp_path))
    folder = settings.models_folder / "m" / "1"
    folder.rename(tmp_path / "elsewhere")
    classifier._registry = Registry(settings.models_folder)
    monkeypatch.setattr(unavailable_module, "_WAIT_S", 0.0)
    monkeypatch.setattr(Roster, "read", lambda _: [_row("ready")])
    classifier.work(Lane.INTERACTIVE)
    (row,) = graphs.report()
    assert (row.model, row.version, row.state) == ("m", 1, "failed")
    assert work.get(job_id).status is Status.RUNNING
    (tmp_path / "elsewhere").rename(folder)
    monkeypatch.setattr(unavailable_module, "RETRY_S", 0.0)
    classifier.work(Lane.INTERACTIVE)
    assert states(graphs) == {("m", 1): ("ready", 1)}
    assert work.get(job_id).status is Status.SUCCEEDED


@pytest.fixture
def elsewhere(registry: Registry, tmp_path: Path) -> Registry:
    """The registry of another installation on the same Redis: `m@1` has other labels there."""
    draft = publish(registry, tmp_path).model_dump(include=set(ManifestDraft.model_fields))
    other = Registry(tmp_path / "elsewhere")
    other.publish(ManifestDraft(**{**draft, "labels": ["lion", "tiger"]}), tmp_path / "m.pb")
    return other


def test_a_job_is_answered_only_by_the_version_that_it_was_pinned_to(
    work: Work,
    settings: Settings,
    classifier: Classifier,
    registry: Registry,
    elsewhere: Registry,
) -> None:
    here, there = registry.manifest("m", 1), elsewhere.manifest("m", 1)
    assert here.sha256 == there.sha256  # labels decide an answer as much as the graph does
    theirs, ours = _accept(work, there), _accept(work, here)
    for _ in range(2):
        classifier.work(Lane.INTERACTIVE)
    assert work.get(theirs).status is Status.RUNNING
    assert work.get(ours).result["predictions"][0]["label"] == "dark"
    _work_as_another_worker(settings, elsewhere)
    job = work.get(theirs)
    assert job.result["predictions"][0]["label"] == "tiger"
    assert job.attempts == 1


def test_a_job_of_a_version_that_nobody_has_fails_and_says_what_to_do(
    work: Work,
    classifier: Classifier,
    graphs: Graphs,
    registry: Registry,
    elsewhere: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unavailable_module, "_WAIT_S", 0.0)
    job_id = _accept(work, elsewhere.manifest("m", 1))
    for _ in range(2):
        classifier.work(Lane.INTERACTIVE)
    error = work.get(job_id).error
    assert error is not None
    assert error["code"] == "model_unavailable"
    assert "PERMAFROST_DATA" in error["message"]
    rows = {row.digest: row.state for row in graphs.report()}
    assert rows == {elsewhere.manifest("m", 1).digest: "failed"}
    ours = _accept(work, registry.manifest("m", 1))
    classifier.work(Lane.INTERACTIVE)
    assert work.get(ours).status is Status.SUCCEEDED


def test_a_registry_that_is_restored_is_read_again(
    work: Work, classifier: Classifier, registry: Registry, elsewhere: Registry
) -> None:
    first = _accept(work, registry.manifest("m", 1))
    classifier.work(Lane.INTERACTIVE)
    folder = registry.graph_path("m", 1).parent
    shutil.rmtree(folder)
    shutil.copytree(elsewhere.graph_path("m", 1).parent, folder)
    after = registry.manifest("m", 1)
    assert after.digest == elsewhere.manifest("m", 1).digest
    second = _accept(work, after)
    classifier.work(Lane.INTERACTIVE)
    labels = [work.get(job).result["predictions"][0]["label"] for job in (first, second)]
    assert labels == ["dark", "tiger"]


def _row(state: WorkerState, *graphs: tuple[int, str], queue: str = "interactive") -> Worker:
    """Return a row of the roster for another worker with versions of `m`."""
    shown = examples.WORKERS.workers[0]
    return shown.model_copy(
        update={
            "id": "another",
            "state": state,
            "queues": [queue],
            "graphs": [
                shown.graphs[0].model_copy(
                    update={"model": "m", "version": v, "state": s, "digest": ""}
                )
                for v, s in graphs
            ],
        }
    )


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
    rows: list[Worker],
    fails: bool,
) -> None:
    broken, sound = publish(registry, tmp_path), publish(registry, tmp_path, name="n")
    registry.graph_path("m", 1).unlink()
    monkeypatch.setattr(unavailable_module, "_WAIT_S", 0.0)
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
    draft = publish(registry, tmp_path).model_dump(include=set(ManifestDraft.model_fields))
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

    manifest = publish(registry, tmp_path)
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
    publish(registry, tmp_path)
    classifier.preload()
    classifier.follow_registry()
    publish(registry, tmp_path)
    announce_change(work.client)

    def loaded() -> bool:
        classifier.follow_registry()
        return states(graphs).get(("m", 2)) == ("ready", 1)

    wait_until(loaded, within_s=20, what="version 2 is loaded")
    assert states(graphs)["m", 1] == ("ready", 1)
