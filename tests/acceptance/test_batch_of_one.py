"""MobileNet, frozen by others for one image at a time: padded or freed, and served to five."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freezing.process import freeze
from worker.contract.source_requests import FreezeRequest
from worker.models.manifest import ModelRef
from worker.models.registry import Registry
from worker.settings import Settings


@pytest.fixture(scope="module")
def mobilenet(fixtures_folder: Path) -> Path:
    return fixtures_folder / "models" / "mobilenet-frozen-batch1" / "retrained_graph.pb"


def one_by_one(source: Path, images: Any) -> Any:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        tf.import_graph_def(v1.GraphDef.FromString(source.read_bytes()), name="")
        rows = [session.run("final_result:0", {"input:0": image[None]}) for image in images]
    return np.concatenate(rows)


@pytest.mark.parametrize(
    ("batch", "served", "runtime"),
    [("keep", 1, "tensorflow"), ("free", None, "tensorflow"), ("free", None, "onnxruntime")],
)
def test_five_images_at_once_get_the_answers_of_each(
    mobilenet: Path, tmp_path: Path, batch: str, served: int | None, runtime: str
) -> None:
    from worker.inference.graph import LoadedGraph

    registry, settings = Registry(tmp_path / "models"), Settings(data=tmp_path)
    fields = {"name": "mobilenet", "preprocessing": "minus_one_one", "outputs": ["final_result"]}
    result = freeze(
        FreezeRequest.parse({**fields, "batch": batch, "runtime": runtime}),
        mobilenet,
        workdir=tmp_path,
        registry=registry,
        job_id="job",
        settings=settings,
        on_log=lambda _: None,
        cancelled=lambda: False,
    )
    assert result["batch"] == {"source": 1, "served": served}
    assert result["inputs"][0]["shape"] == [served, 128, 128, 3]
    assert result["optimised"]["batch_norms"] == 27
    assert result["nodes_after"] < 150
    assert result["audit"]["verdict"] == "allowed"
    manifest = registry.resolve(ModelRef.parse("mobilenet"))
    assert manifest.report["audit"] == result["audit"]
    images = np.random.default_rng(3).uniform(-1, 1, (5, 128, 128, 3)).astype(np.float32)
    path = registry.served_path(manifest)
    graph = LoadedGraph(manifest, path, settings)
    try:
        found = graph.run(images)[0]
    finally:
        graph.close()
    np.testing.assert_allclose(found, one_by_one(mobilenet, images), atol=1e-5)
