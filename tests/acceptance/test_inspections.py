"""Real models looked into: the choice is what their owners meant, and a freeze does the same."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from freezing.process import inspect
from freezing.running.steps import Report
from tests.support.orders import inspection_of
from tests.support.submitting import freeze_upload, inspect_upload
from tests.support.system import System
from worker.contract.source_requests import InspectionRequest
from worker.errors import SourceError
from worker.models.inspection import Inspection
from worker.settings import Settings

# The source, its kind, what takes the images, what answers, and how many parameters that has.
MODELS = [
    ("tutorial-dogs-cats/checkpoint", "checkpoint", "x", "y_pred", 2_126_178),
    ("models/cifar-checkpoint", "checkpoint", "Input", "add_1", 58_826),
    ("models/cifar-checkpoint/frozen_model.pb", "graph", "Input", "Output", 58_816),
    (
        "models/cifar-checkpoint/frozen_model_variadic_input_shape.pb",
        *("graph", "Input", "Output", 58_816),
    ),
    ("models/cifar-savedmodel-tf1", "saved_model", "Input", "add_1", 58_826),
    ("models/regression-three-formats/checkpoint", "checkpoint", "X", "pred", 2),
    ("models/regression-three-formats/saved_model", "saved_model", "X", "pred", 2),
    ("models/regression-three-formats/graphdef", "graph", "X", "pred", None),
    ("models/half-plus-two-savedmodel-tf1", "saved_model", "x", "y", 2),
    ("models/half-plus-two-savedmodel-tf2", "saved_model", "x", "y", None),
    ("models/gender-keras2-h5", "keras", "input_1", "predictions", None),
    (
        "models/mobilenet-frozen-batch1/retrained_graph.pb",
        *("graph", "input", "final_result", 481_813),
    ),
    (
        "models/mobilenet-frozen-batch1/optimized_graph.pb",
        *("graph", "input", "final_result", 481_813),
    ),
]


def look(path: Path, tmp_path: Path, **fields: Any) -> Inspection:
    """Inspect as the freezing worker does, in a process with limits."""
    log: list[str] = []
    document = inspect(
        InspectionRequest.parse(fields),
        path,
        workdir=tmp_path,
        settings=Settings(data=tmp_path),
        on_log=log.append,
        cancelled=lambda: False,
    )
    assert "Step 1 of 3: starting TensorFlow ..." in log
    return Inspection.model_validate(document)


@pytest.mark.parametrize(("source", "kind", "taken", "output", "parameters"), MODELS)
def test_the_first_choice_is_the_right_one(
    fixtures_folder: Path,
    source: str,
    kind: str,
    taken: str,
    output: str,
    parameters: int | None,
) -> None:
    from freezing.inspecting.inspection import inspect as inspect_here

    report = Report(lambda _: None)
    found = Inspection.model_validate(inspect_here(report, inspection_of(fixtures_folder / source)))
    assert found.kind == kind
    assert found.choice.clear
    assert (found.choice.input, found.choice.outputs) == (f"{taken}:0", [f"{output}:0"])
    if parameters is not None:
        assert found.parameters.kept == parameters


def test_what_the_tutorial_checkpoint_holds_is_counted(
    fixtures_folder: Path, tmp_path: Path
) -> None:
    found = look(fixtures_folder / "tutorial-dogs-cats/checkpoint", tmp_path)
    assert found.nodes == 401
    assert found.predicted is not None
    assert found.predicted.nodes == 41
    assert found.predicted.bytes == pytest.approx(8.51e6, rel=0.001)
    dropped = {one.kind: one for one in found.dropped}
    assert dropped["optimizer_slots"].nodes == 22
    assert dropped["optimizer_slots"].bytes == pytest.approx(17e6, rel=0.01)
    assert found.preprocessing.fields["size"] == [128, 128]
    assert found.freeze.ready


def test_the_size_that_a_placeholder_leaves_open_is_found(fixtures_folder: Path) -> None:
    from freezing.inspecting.inspection import inspect as inspect_here

    path = fixtures_folder / "models/mobilenet-frozen-batch1/optimized_graph.pb"
    found = Inspection.model_validate(inspect_here(Report(lambda _: None), inspection_of(path)))
    assert found.preprocessing.fields["size"] == [128, 128]  # as its twin, which says so


def test_what_cannot_be_opened_fails_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(SourceError, match=r"notes\.txt"):
        look(tmp_path / "notes.txt", tmp_path)


def test_an_inspection_through_the_queue_gives_the_freeze_that_then_succeeds(
    system: System, fixtures_folder: Path
) -> None:
    files = sorted((fixtures_folder / "tutorial-dogs-cats/checkpoint").iterdir())
    job = inspect_upload(system.url, files)
    assert job["status"] == "succeeded", job["error"]
    assert (job["kind"], job["model"]) == ("inspection", None)
    assert job["log"][-1] == "Step 3 of 3: looking at the graph ..."
    advice = Inspection.model_validate(job["result"]).freeze
    assert advice.ready
    page = httpx.get(f"{system.url}/jobs/{job['id']}")
    assert "y_pred:0" in page.text
    body = {key: value for key, value in advice.body.items() if key != "name"}
    frozen = freeze_upload(system.url, files, name="advised", **body)
    assert frozen["status"] == "succeeded", frozen["error"]
    # A freeze that is told nothing takes the same, and says so.
    alone = freeze_upload(system.url, files, name="alone")
    assert alone["result"]["outputs"] == frozen["result"]["outputs"]
    assert alone["result"]["inputs"] == frozen["result"]["inputs"]
    told = [line for line in alone["result"]["warnings"] if line.startswith("No output was named")]
    assert len(told) == 1
    assert "'y_pred:0' (Softmax) was chosen: a softmax: one probability per class" in told[0]
