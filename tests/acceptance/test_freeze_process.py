"""Freezing in its own process: real models, limits, and what happens when it dies."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from PIL import Image

from freezing.process import FreezeCancelledError, freeze
from freezing.sources.readable_paths import within_reach
from tests.support.freezing import children_of
from tests.support.polling import wait_until
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError, SourceError, UnknownNodeError
from worker.models.manifest import ModelRef
from worker.models.registry import Registry
from worker.settings import Settings

Array = npt.NDArray[Any]


class Freezer:
    """Freezes into a registry of its own, and remembers what was logged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = Registry(folder / "models")
        self.log: list[str] = []

    def __call__(
        self,
        source: Path,
        *,
        on_log: Callable[[str], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
        settings: dict[str, Any] | None = None,
        job: str = "job-1",
        samples: Sequence[Path] = (),
        **fields: Any,
    ) -> dict[str, Any]:
        workdir = self.folder / "work"
        workdir.mkdir(exist_ok=True)

        def log(message: str) -> None:
            self.log.append(message)
            on_log(message)

        return freeze(
            FreezeRequest.parse({"name": "model", **fields}),
            source,
            samples=samples,
            workdir=workdir,
            registry=self.registry,
            job_id=job,
            settings=Settings(data=self.folder, **(settings or {})),
            on_log=log,
            cancelled=cancelled,
        )

    def run(self, output: str, images: Array) -> Array:
        """Run what was published, in a session of the test's own."""
        import tensorflow as tf

        manifest = self.registry.resolve(ModelRef.parse("model"))
        graph_def = tf.compat.v1.GraphDef()
        graph_def.ParseFromString(self.registry.graph_path("model", manifest.version).read_bytes())
        return answers(graph_def, manifest.inputs[0].name, output, images)


def answers(graph_def: Any, feed: str, output: str, images: Array) -> Array:
    import tensorflow as tf

    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        tf.import_graph_def(graph_def, name="")
        found: Array = session.run(output, {feed: images})
        return found


@pytest.fixture
def freezer(tmp_path: Path) -> Iterator[Freezer]:
    yield Freezer(tmp_path)
    assert not children(), "a freeze left its process behind"


@pytest.fixture(scope="module")
def tutorial(fixtures_folder: Path) -> Path:
    return fixtures_folder / "tutorial-dogs-cats"


def children() -> list[psutil.Process]:
    return children_of(os.getpid())


def workers() -> list[psutil.Process]:
    """Return the processes that the child has forked."""
    found = children()
    pids = {process.pid for process in found}
    return [process for process in found if process.ppid() in pids]


def nothing_published(freezer: Freezer) -> bool:
    staging = freezer.folder / "models" / ".staging"
    return not freezer.registry.names() and not list(staging.glob("*"))


def test_the_tutorial_checkpoint_answers_as_before(freezer: Freezer, tutorial: Path) -> None:
    source = tutorial / "checkpoint"
    result = freezer(source, outputs=["y_pred"], labels=["cats", "dogs"])
    assert result["bytes_before"] == sum(
        file.stat().st_size for file in source.glob("dogs-cats-model.*")
    )
    assert result["bytes_after"] <= 8.52e6
    assert result["nodes_before"] == 401
    assert result["nodes_after"] <= 41
    assert result["parameters"] == 2_126_178
    assert result["removed"]["optimizer_slots"] == 22
    assert result["verification"]["max_abs_difference"] <= 1e-5
    assert result["verification"]["top1_agreement"] == 1.0
    assert result["inputs"] == [{"name": "x:0", "shape": [None, 128, 128, 3], "dtype": "float32"}]
    assert result["outputs"] == [{"name": "y_pred:0", "shape": [None, 2], "dtype": "float32"}]
    manifest = freezer.registry.resolve(ModelRef.parse("model"))
    assert (manifest.sha256, manifest.version) == (result["sha256"], result["version"])
    assert manifest.source["job"] == "job-1"
    assert manifest.scores == "probabilities"
    assert [line.split(":")[0] for line in freezer.log if line.startswith("Step ")] == [
        f"Step {number} of 7" for number in range(1, 8)
    ]
    verification = result["verification"]
    (output,) = verification["outputs"]
    assert output["name"] == "y_pred:0"
    assert output["max_abs_difference"] == verification["max_abs_difference"]
    assert (verification["samples"], verification["tolerance"]) == (8, 1e-4)

    rows = json.loads((tutorial / "expected.json").read_text())["rows"]
    images = []
    for row in rows:
        with Image.open(tutorial / "images" / row["path"]) as image:
            small = image.convert("RGB").resize((128, 128), Image.Resampling.BILINEAR)
        images.append(np.asarray(small, np.float32) / 255)
    found = freezer.run("y_pred:0", np.stack(images))
    expected = [[row["cats"], row["dogs"]] for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_sample_images_are_verified_with_and_those_that_cannot_be_read_are_named(
    freezer: Freezer, tutorial: Path, fixtures_folder: Path, tmp_path: Path
) -> None:
    samples = sorted((tutorial / "images").rglob("*.jpg"))[:3]
    result = freezer(tutorial / "checkpoint", outputs=["y_pred"], samples=samples)
    assert result["verification"]["samples"] == 11
    assert result["verification"]["outputs"][0]["top1_agreement"] == 1.0
    assert "8 made up samples and 3 of the job." in freezer.log
    damaged = min((fixtures_folder / "bad-images").glob("*.png"))
    with pytest.raises(
        FreezeError, match=re.escape(f"The sample '{damaged.name}' cannot be")
    ) as no:
        freezer(tutorial / "checkpoint", name="other", outputs=["y_pred"], samples=[damaged])
    assert no.value.code == "bad_sample"
    assert freezer.registry.names() == ["model"]


def test_a_checkpoint_of_tensorflow_1_10_answers_as_its_owners_frozen_graph(
    freezer: Freezer, fixtures_folder: Path
) -> None:
    import tensorflow as tf

    source = fixtures_folder / "models" / "cifar-checkpoint"
    result = freezer(source / "model.ckpt", outputs=["add_1:0"])
    assert result["nodes_after"] <= 20
    images = np.random.default_rng(0).random([4, 32, 32, 3], np.float32)
    owners = tf.compat.v1.GraphDef()
    owners.ParseFromString((source / "frozen_model_variadic_input_shape.pb").read_bytes())
    names = {node.name for node in owners.node}
    output = "add_1:0" if "add_1" in names else "Output:0"
    expected = answers(owners, "Input:0", output, images)
    np.testing.assert_allclose(freezer.run(output, images), expected, atol=1e-4)


def test_a_model_that_takes_no_images_is_published_but_does_not_classify(
    freezer: Freezer, fixtures_folder: Path
) -> None:
    source = fixtures_folder / "models" / "regression-three-formats" / "checkpoint"
    result = freezer(source, outputs=["pred"], runtime="onnxruntime")
    assert result["classifies"] is False
    assert "predictions are refused" in result["warnings"][-1]
    assert result["verification"]["max_abs_difference"] <= 1e-5
    assert result["accelerated"]["verification"]["max_abs_difference"] <= 1e-5
    manifest = freezer.registry.resolve(ModelRef.parse("model"))
    assert (manifest.preprocessing, manifest.scores, manifest.classifies) == (None, None, False)
    slope = freezer.run("pred:0", np.array([0, 1, 2], np.float32))
    assert slope[2] - slope[1] == pytest.approx(slope[1] - slope[0])


def test_what_classifies_now_is_not_replaced_by_what_does_not(
    freezer: Freezer, tutorial: Path, fixtures_folder: Path
) -> None:
    """Otherwise a mistake in a freeze would end the service of a model."""
    freezer(tutorial / "checkpoint", outputs=["y_pred"])
    source = fixtures_folder / "models" / "regression-three-formats" / "checkpoint"
    with pytest.raises(FreezeError, match="model@stable classifies images now") as refused:
        freezer(source, outputs=["pred"], job="job-2")
    assert refused.value.code == "would_not_classify"
    assert freezer(source, outputs=["pred"], alias="numbers", job="job-2")["version"] == 2


def test_a_wrong_name_and_a_missing_file_are_told_by_kind(
    freezer: Freezer, tutorial: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNodeError, match="y_pred"):
        freezer(tutorial / "checkpoint", outputs=["y_prid"])
    (tmp_path / "model.meta").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"model\.index"):
        freezer(tmp_path / "model", outputs=["y_pred"])


def test_the_same_job_publishes_once(freezer: Freezer, tutorial: Path) -> None:
    first = freezer(tutorial / "checkpoint", outputs=["y_pred"])
    again = freezer(tutorial / "checkpoint", outputs=["y_pred"])
    assert again["version"] == first["version"] == 1


def test_too_little_time_is_a_sentence(freezer: Freezer, tutorial: Path) -> None:
    started = time.monotonic()
    with pytest.raises(FreezeError, match="longer than 1 s") as refused:
        freezer(tutorial / "checkpoint", settings={"freeze_time_limit_s": 1})
    assert refused.value.code == "timed_out"
    assert time.monotonic() - started < 10
    assert nothing_published(freezer)


@pytest.mark.parametrize("mebibytes", [60, 350])
def test_too_little_memory_is_a_sentence(freezer: Freezer, tutorial: Path, mebibytes: int) -> None:
    with pytest.raises(FreezeError, match=rf"{mebibytes} MiB (are allowed|of memory)") as refused:
        freezer(
            tutorial / "checkpoint",
            outputs=["y_pred"],
            settings={"freeze_memory_bytes": mebibytes * 2**20},
        )
    assert refused.value.code == "out_of_memory"
    assert nothing_published(freezer)


@pytest.mark.parametrize(
    "step", ["starting", "reading", "freezing", "running the source", "verifying", "publishing"]
)
def test_cancelling_ends_it_within_a_second_at_any_step(
    freezer: Freezer, tutorial: Path, step: str
) -> None:
    since: list[float] = []

    def stay(message: str) -> None:
        """Keep it in the step, as if it took long, until it is cancelled."""
        if not since and message.startswith("Step ") and f": {step}" in message:
            since.append(time.monotonic())
            for process in children():
                process.suspend()

    with pytest.raises(FreezeCancelledError):
        freezer(
            tutorial / "checkpoint",
            outputs=["y_pred"],
            on_log=stay,
            cancelled=lambda: bool(since),
        )
    assert time.monotonic() - since[0] < 3  # a second, and what a busy machine may add
    assert nothing_published(freezer)


@pytest.mark.parametrize(
    ("step", "number", "code", "words"),
    [
        ("freezing", signal.SIGSEGV, "crashed", "while freezing .signal SIGSEGV"),
        (
            "running the source",
            signal.SIGABRT,
            "crashed",
            "while running the source on (made up pictures|the samples) .signal SIGABRT",
        ),
        ("verifying", signal.SIGSEGV, "crashed", "while running the frozen graph .signal SIGSEGV"),
        ("freezing", signal.SIGKILL, "out_of_memory", "more memory"),
        ("verifying", signal.SIGKILL, "out_of_memory", "more memory"),
    ],
)
def test_a_crash_is_a_sentence_that_says_which_side_crashed(
    freezer: Freezer, tutorial: Path, step: str, number: signal.Signals, code: str, words: str
) -> None:
    def kill(message: str) -> None:
        if message.endswith(f"{step} ...") or f": {step} on" in message:
            worker = wait_until(workers, within_s=10, what="the process that does the step")
            assert worker is not None
            worker[0].send_signal(number)

    with pytest.raises(FreezeError, match=words) as refused:
        freezer(tutorial / "checkpoint", outputs=["y_pred"], optimise=False, on_log=kill)
    assert refused.value.code == code
    assert nothing_published(freezer)


def test_the_child_sees_no_secret_holds_nothing_of_its_parent_and_is_confined(
    freezer: Freezer, tutorial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hidden-word@nowhere")
    monkeypatch.setenv("PERMAFROST_API_KEY", "hidden-word")
    seen: dict[str, list[Any]] = {"environment": [], "files": [], "filters": []}

    def look(message: str) -> None:
        if message.endswith("freezing ..."):
            for process in children():
                seen["environment"].append(process.environ())
                status = Path(f"/proc/{process.pid}/status").read_text()
                seen["filters"].append(re.search(r"^Seccomp:\t(.)$", status, re.MULTILINE))
                links = Path(f"/proc/{process.pid}/fd")
                seen["files"].append({link.name: str(link.readlink()) for link in links.iterdir()})

    with (tmp_path / "held open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        freezer(tutorial / "checkpoint", outputs=["y_pred"], on_log=look)
    assert len(seen["files"]) == 2
    told = next(line for line in freezer.log if "onfined" in line)
    if "a filter of system calls" in told.partition("Missing")[0]:
        assert [found[1] for found in seen["filters"]] == ["2", "2"]
    assert "hidden-word" not in str(seen["environment"])
    for files in seen["files"]:
        own = (str(tutorial), str(tmp_path / "work"), "pipe:", "/dev/null")
        assert all(name.startswith(own) for name in files.values()), files


def test_a_source_that_is_links_into_the_root_is_read(
    freezer: Freezer, tutorial: Path, tmp_path: Path
) -> None:
    """As caches of downloads lay them out; links that lead elsewhere stay out of reach."""
    root = tmp_path / "sources"
    blobs, source = root / "blobs", root / "snapshots" / "1"
    for folder in (blobs, source):
        folder.mkdir(parents=True)
    for number, file in enumerate((tutorial / "checkpoint").glob("dogs-cats-model.*")):
        shutil.copy(file, blobs / str(number))
        (source / file.name).symlink_to(Path("..", "..", "blobs", str(number)))
    (source / "elsewhere").symlink_to("/etc")
    assert set(within_reach(source, [root])) >= {source, blobs / "0", blobs / "1"}
    assert not any(path.is_relative_to("/etc") for path in within_reach(source, [root]))
    freezer(source, outputs=["y_pred"], settings={"sources": str(root)})


def test_an_operator_may_do_without_confinement(freezer: Freezer, tutorial: Path) -> None:
    freezer(tutorial / "checkpoint", outputs=["y_pred"], settings={"freeze_confinement": "off"})
    assert not any("onfined" in line for line in freezer.log)


PARENT = """
import sys
from pathlib import Path
from freezing.process import freeze
from worker.contract.source_requests import FreezeRequest
from worker.models.registry import Registry
from worker.settings import Settings
assert "tensorflow" not in sys.modules
source, folder = map(Path, sys.argv[1:])
freeze(
    FreezeRequest.parse({"name": "model", "outputs": ["y_pred"]}), source, workdir=folder,
    registry=Registry(folder / "models"), job_id="job", settings=Settings(data=folder),
    on_log=lambda line: print(line, flush=True), cancelled=lambda: False,
)
"""


def test_the_child_dies_with_its_parent(tutorial: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tutorial / "checkpoint"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert any("reading" in line for line in parent.stdout)
        begun = psutil.Process(parent.pid).children()
        parent.kill()
    assert len(begun) == 2  # the fork server and the child
    wait_until(
        lambda: not any(process.is_running() for process in begun),
        within_s=10,
        what="the child and the fork server are gone",
    )
    assert Registry(tmp_path / "models").names() == []
