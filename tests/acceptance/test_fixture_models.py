"""Every real model of the fixtures: frozen over HTTP, served, and compared with its own framework.

What was seen is the table of docs/freezing.md. To write it anew:

    ./permafrost test tests/acceptance/test_fixture_models.py --write-docs
"""

import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.support.submitting import ended, freeze_path, freeze_upload, predict
from tests.support.system import ROOT, System, clean_environment

TOLERANCE = 1e-4
PAGE = ROOT / "docs" / "freezing.md"
BEGIN = "<!-- made by tests/acceptance/test_fixture_models.py -->"
END = "<!-- end -->"


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of the fixtures, how it is handed over and what it is in its own framework."""

    name: str
    kind: str  # of original_answers.py
    what: str  # for the table
    folder: str  # that is handed over, below the fixtures
    given: str  # "path", "files", "zip" or "tar"
    path: str = ""  # the original, below `folder`; the folder itself where empty
    input: str
    output: str
    shape: tuple[int, ...]  # of random inputs
    one_by_one: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    image: tuple[int, int] | None = None  # height and width of an image that needs no resizing


MODELS = [
    Model(
        name="tutorial",
        kind="checkpoint",
        what="TF1 checkpoint (the tutorial's dog/cat network)",
        folder="tutorial-dogs-cats/checkpoint",
        given="files",
        path="dogs-cats-model",
        input="x:0",
        output="y_pred:0",
        shape=(5, 128, 128, 3),
        image=(128, 128),
    ),
    Model(
        name="cifar-checkpoint",
        kind="checkpoint",
        what="TF1 checkpoint with Adam slots and unused placeholders",
        folder="models/cifar-checkpoint",
        given="path",
        path="model.ckpt",
        input="Input:0",
        output="add_1:0",
        shape=(5, 32, 32, 3),
        options={"checkpoint": "model.ckpt"},
        image=(32, 32),
    ),
    Model(
        name="cifar-saved-model",
        kind="saved_model",
        what="TF1 SavedModel",
        folder="models/cifar-savedmodel-tf1",
        given="zip",
        input="Input:0",
        output="add_1:0",
        shape=(5, 32, 32, 3),
        image=(32, 32),
    ),
    Model(
        name="gender",
        kind="keras",
        what="Keras 2 HDF5 with batch normalisation",
        folder="models/gender-keras2-h5",
        given="files",
        path="gender_mini_XCEPTION.21-0.95.hdf5",
        input="",
        output="",
        shape=(5, 64, 64, 1),
        options={"preprocessing": "minus_one_one"},
        image=(64, 64),
    ),
    Model(
        name="mobilenet",
        kind="graph",
        what="frozen graph, batch fixed at 1",
        folder="models/mobilenet-frozen-batch1",
        given="path",
        path="retrained_graph.pb",
        input="input:0",
        output="final_result:0",
        shape=(3, 128, 128, 3),
        one_by_one=True,
        options={"checkpoint": "retrained_graph.pb"},
        image=(128, 128),
    ),
    Model(
        name="mobilenet-optimised",
        kind="graph",
        what="frozen graph that leaves the size of its images open",
        folder="models/mobilenet-frozen-batch1",
        given="tar",
        path="optimized_graph.pb",
        input="input:0",
        output="final_result:0",
        shape=(3, 128, 128, 3),
        one_by_one=True,
        options={
            "checkpoint": "optimized_graph.pb",
            "preprocessing": {"preset": "minus_one_one", "size": [128, 128]},
        },
        image=(128, 128),
    ),
    Model(
        name="regression-checkpoint",
        kind="checkpoint",
        what="TF1 checkpoint that takes no images",
        folder="models/regression-three-formats/checkpoint",
        given="files",
        path="model",
        input="X:0",
        output="pred:0",
        shape=(5,),
    ),
    Model(
        name="regression-saved-model",
        kind="saved_model",
        what="TF1 SavedModel that takes no images",
        folder="models/regression-three-formats/saved_model",
        given="path",
        input="X:0",
        output="pred:0",
        shape=(5,),
    ),
    Model(
        name="regression-graph",
        kind="graph",
        what="frozen graph that takes no images",
        folder="models/regression-three-formats/graphdef",
        given="files",
        path="frozen.pb",
        input="X:0",
        output="pred:0",
        shape=(5,),
    ),
    Model(
        name="half-plus-two-tf1",
        kind="saved_model",
        what="TF1 SavedModel with five signatures and an asset",
        folder="models/half-plus-two-savedmodel-tf1",
        given="tar",
        input="x:0",
        output="y:0",
        shape=(5, 1),
    ),
    Model(
        name="half-plus-two-tf2",
        kind="saved_model_v2",
        what="TF2 SavedModel with six signatures and an asset",
        folder="models/half-plus-two-savedmodel-tf2",
        given="zip",
        input="x",
        output="y",
        shape=(1,),
    ),
]


@pytest.fixture(scope="module")
def frozen(system: System, fixtures_folder: Path) -> dict[str, dict[str, Any]]:
    """Freeze every model and return the ended jobs."""
    return {model.name: freeze(system, fixtures_folder / model.folder, model) for model in MODELS}


def freeze(system: System, folder: Path, model: Model) -> dict[str, Any]:
    options = {"name": model.name, **model.options}
    if model.given == "path":
        shutil.copytree(folder, system.data / "sources" / model.name, dirs_exist_ok=True)
        return freeze_path(system.url, model.name, **options)
    if model.given == "files":
        return freeze_upload(system.url, [p for p in folder.iterdir() if p.is_file()], **options)
    content = _zip(folder) if model.given == "zip" else _tar(folder)
    answer = httpx.post(
        f"{system.url}/v1/freezes",
        files={"archive": (f"model.{model.given}", content)},
        data={"options": json.dumps(options)},
        timeout=60,
    )
    assert answer.status_code == 202, answer.text
    return ended(system.url, answer.headers["Location"])


def _zip(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))
    return buffer.getvalue()


def _tar(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(folder, folder.name)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def differences(
    system: System,
    frozen: dict[str, dict[str, Any]],
    fixtures_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, float]:
    """Run originals and downloaded graphs side by side in a program of their own."""
    folder = tmp_path_factory.mktemp("graphs")
    cases = []
    for model in MODELS:
        result = frozen[model.name]["result"]
        graph = folder / f"{model.name}.pb"
        answer = httpx.get(f"{system.url}/v1/models/{model.name}/versions/stable/graph")
        graph.write_bytes(answer.raise_for_status().content)
        cases.append(
            {
                "kind": model.kind,
                "path": str(fixtures_folder / model.folder / model.path),
                "input": model.input,
                "output": model.output,
                "shape": model.shape,
                "one_by_one": model.one_by_one,
                "graph": str(graph),
                "frozen_input": result["inputs"][0]["name"],
                "frozen_output": result["outputs"][0]["name"],
            }
        )
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.original_answers"],
        cwd=ROOT,
        env=clean_environment(TF_CPP_MIN_LOG_LEVEL="3"),
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return {model.name: value for model, value in zip(MODELS, found, strict=True)}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_it_is_frozen_and_verified(frozen: dict[str, dict[str, Any]], model: Model) -> None:
    job = frozen[model.name]
    assert job["status"] == "succeeded", job["error"]
    verification = job["result"]["verification"]
    assert verification["samples"] > 0
    assert verification["max_abs_difference"] <= TOLERANCE
    assert verification["top1_agreement"] == 1.0


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_downloaded_graph_answers_as_the_original_in_its_own_framework(
    differences: dict[str, float], model: Model
) -> None:
    assert differences[model.name] <= TOLERANCE


@pytest.mark.parametrize("model", [m for m in MODELS if m.image], ids=lambda model: model.name)
def test_it_is_served(system: System, frozen: dict[str, dict[str, Any]], model: Model) -> None:
    assert model.image is not None
    pixels = np.random.default_rng(3).integers(0, 256, (*model.image, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    job = predict(system.url, buffer.getvalue(), model=model.name, top=2)
    assert job["status"] == "succeeded", job["error"]
    assert job["model"]["sha256"] == frozen[model.name]["result"]["sha256"]
    scores = [one["score"] for one in job["result"]["predictions"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet-optimised"])
def test_the_constants_of_a_graph_frozen_before_are_its_parameters(
    frozen: dict[str, dict[str, Any]], name: str
) -> None:
    result = frozen[name]["result"]
    assert result["parameters"] == sum(layer["parameters"] for layer in result["layers"])
    assert result["parameters"] * 4 == pytest.approx(result["bytes_after"], rel=0.05)  # float32


def test_a_model_that_takes_no_images_says_so(
    system: System, frozen: dict[str, dict[str, Any]]
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    for name in ("regression-checkpoint", "half-plus-two-tf2"):
        answer = httpx.post(
            f"{system.url}/v1/predictions",
            params={"model": name},
            content=buffer.getvalue(),
            headers={"Content-Type": "image/png"},
        )
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] == "takes_no_images"


def test_the_table_of_the_documentation_is_what_was_seen(
    frozen: dict[str, dict[str, Any]],
    differences: dict[str, float],
    pytestconfig: pytest.Config,
) -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    written, _, after = rest.partition(END)
    table = _table(frozen, differences)
    if pytestconfig.getoption("write_docs"):
        PAGE.write_text(f"{before}{BEGIN}\n{table}{END}{after}")
    else:
        assert written.strip() == table.strip()


def _table(frozen: dict[str, dict[str, Any]], differences: dict[str, float]) -> str:
    lines = [
        "| source | given as | nodes | size | on the worker | against its own framework |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for model in MODELS:
        result = frozen[model.name]["result"]
        cells = [
            model.what,
            {"path": "path", "files": "upload", "zip": "zip", "tar": "tar.gz"}[model.given],
            f"{result['nodes_before']} -> {result['nodes_after']}",
            f"{_size(result['bytes_before'])} -> {_size(result['bytes_after'])}",
            _bound(result["verification"]["max_abs_difference"]),
            _bound(differences[model.name]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _bound(value: float) -> str:
    """Return the power of ten that the difference stays below, as far as no machine decides it."""
    return next(text for bound, text in _BOUNDS if value <= bound)


_BOUNDS = ((1e-5, "< 1e-5"), (TOLERANCE, "< 1e-4"))
