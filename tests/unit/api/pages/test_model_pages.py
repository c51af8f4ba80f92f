"""The pages of models and of workers."""

from pathlib import Path

import pytest
from flask import render_template
from flask.testing import FlaskClient

from tests.support.page_document import Document
from tests.support.shown_pages import WORKER, published
from worker.models.manifest import ManifestDraft


@pytest.mark.usefixtures("in_request")
def test_workers_are_listed_with_their_loads() -> None:
    text = Document(render_template("workers.html", workers=[WORKER])).text
    assert "17238 on den ready interactive, bulk cats-dogs@3 1 load, 1.3 s" in text
    assert "The graph of old@1 is damaged." in text
    assert "43 386.0 MB" in text


def test_models_are_listed_with_their_versions(client: FlaskClient, tmp_path: Path) -> None:
    published(tmp_path, labels=[f"label-{n}" for n in range(1000)])
    published(tmp_path).set_alias("cats-dogs", "canary", 1)
    answer = client.get("/models")
    document = Document(answer.text)
    assert answer.status_code == 200
    assert "Version 2 stable" in document.text
    assert "Version 1 canary" in document.text
    assert "1,000: label-0, label-1" in document.text
    assert "stretch to 128 x 128 (bilinear), rgb, ÷ 255, mean 0.5, std 0.25, NHWC" in document.text
    links = [link["href"] for link in document.all("a")]
    assert "/v1/models/cats-dogs/versions/2/graph" in links


def test_models_say_with_which_runtime_they_are_served_and_if_they_classify_at_all(
    client: FlaskClient, tmp_path: Path
) -> None:
    registry = published(tmp_path, labels=["cat", "dog"])
    manifest = registry.manifest("cats-dogs", 1)
    draft = manifest.model_dump(include=set(ManifestDraft.model_fields))
    graph = registry.graph_path("cats-dogs", 1)
    text = Document(client.get("/models").text).text
    assert "ONNX Runtime" not in text
    assert "can only be downloaded" not in text
    fast = ManifestDraft(**{**draft, "name": "fast", "runtime": "onnxruntime"})
    registry.publish(fast, graph, accelerated=graph)
    registry.publish(ManifestDraft(**{**draft, "name": "prices", "preprocessing": None}), graph)
    registry.publish(ManifestDraft(**{**draft, "name": "masks", "scores": None}), graph)
    text = Document(client.get("/models").text).text
    assert "Served with ONNX Runtime" in text
    assert "none: it takes no images and can only be downloaded" in text
    assert "no scores: it can only be downloaded" in text
    assert {model.name for model in registry.stable()} == {"cats-dogs", "fast"}


def test_one_damaged_manifest_does_not_hide_the_other_models(
    client: FlaskClient, tmp_path: Path
) -> None:
    for name in ("cats-dogs", "cats-dogs", "other"):
        published(tmp_path, name=name)
    for damaged in ("cats-dogs/1", "other/1"):
        (tmp_path / "data" / "models" / damaged / "manifest.json").write_text("{")
    text = Document(client.get("/models").text).text
    assert "Version 2 stable" in text
    assert "The manifest of cats-dogs@1 cannot be read" in text
    assert "The manifest of other@1 cannot be read" in text
