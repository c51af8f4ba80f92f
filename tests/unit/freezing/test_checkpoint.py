"""Reading checkpoints: what is damaged, missing or does not fit is said in one sentence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from freezing.converting.variables import variables_needed
from freezing.graph.graph import Graph
from freezing.sources.checkpoint import open_checkpoint
from freezing.sources.opening import open_source
from freezing.sources.restore import parse_slice
from tests.unit.freezing import networks
from tests.unit.freezing.networks import v1
from tests.unit.freezing.saved import Saved, save
from worker.errors import SourceError


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return save(tmp_path / "source", networks.plain)


def read(saved: Saved) -> None:
    source = open_checkpoint(saved.folder)
    source.values.read(variables_needed(Graph(source.graph_def)))


def edit_graph(saved: Saved, edit: Callable[[dict[str, object]], None]) -> None:
    path = Path(f"{saved.prefix}.meta")
    meta = v1.MetaGraphDef()
    meta.ParseFromString(path.read_bytes())
    edit({node.name: node for node in meta.graph_def.node})
    path.write_bytes(meta.SerializeToString())


def test_a_source_knows_its_files_and_its_producer(saved: Saved) -> None:
    source = open_source(saved.folder)
    description = source.describe()
    assert description["kind"] == "checkpoint"
    assert description["producer"] == tf.__version__
    assert source.bytes == sum(file["bytes"] for file in description["files"])
    assert len(description["files"]) == 3
    assert all(len(file["sha256"]) == 64 for file in description["files"])
    assert str(saved.folder) not in str(description)


def test_values_come_with_shape_and_dtype(saved: Saved) -> None:
    source = open_checkpoint(saved.folder)
    values = source.values.read(variables_needed(Graph(source.graph_def)))
    assert {name: value.array.shape for name, value in values.items()} == {
        "dense/weights": (192, 4),
        "dense/biases": (4,),
    }
    assert values["dense/weights"].array.dtype == np.float32


@pytest.mark.parametrize("keep", [0.5, 0.97])
@pytest.mark.parametrize("suffix", [".meta", ".index", ".data-00000-of-00001"])
def test_a_truncated_file_is_named(saved: Saved, suffix: str, keep: float) -> None:
    path = Path(f"{saved.prefix}{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(SourceError, match=r"model\.ckpt-7.*damaged or incomplete"):
        read(saved)


@pytest.mark.parametrize("suffix", [".meta", ".index", ".data-00000-of-00001"])
def test_a_file_of_something_else_is_named(saved: Saved, suffix: str) -> None:
    path = Path(f"{saved.prefix}{suffix}")
    path.write_bytes(b"\x89PNG something else entirely" * 400)
    with pytest.raises(SourceError, match=r"model\.ckpt-7"):
        read(saved)


def test_an_empty_graph_file_is_named(saved: Saved) -> None:
    Path(f"{saved.prefix}.meta").write_bytes(b"")
    with pytest.raises(SourceError, match="holds no graph"):
        read(saved)


def test_a_variable_that_the_checkpoint_lacks_is_named_with_the_nearest(saved: Saved) -> None:
    def edit(nodes: dict[str, object]) -> None:
        for node in nodes.values():
            if node.op.startswith("Restore") or node.name.startswith("save/"):  # type: ignore[attr-defined]  # a NodeDef
                node.op = "NoOp"  # type: ignore[attr-defined]  # a NodeDef
        nodes["dense/weights"].name = "dense/weight"  # type: ignore[attr-defined]  # a NodeDef

    edit_graph(saved, edit)
    with pytest.raises(SourceError, match=r"'dense/weight'.*Nearest: dense/weights"):
        read(saved)


def test_a_variable_of_another_shape_is_refused(saved: Saved) -> None:
    def edit(nodes: dict[str, object]) -> None:
        nodes["dense/biases"].attr["shape"].shape.dim[0].size = 5  # type: ignore[attr-defined]  # a NodeDef

    edit_graph(saved, edit)
    with pytest.raises(SourceError, match=r"'dense/biases' has the shape \(5,\).*\(4,\)"):
        read(saved)


def test_a_variable_of_another_dtype_is_refused(saved: Saved) -> None:
    def edit(nodes: dict[str, object]) -> None:
        nodes["dense/biases"].attr["dtype"].type = tf.float16.as_datatype_enum  # type: ignore[attr-defined]  # a NodeDef

    edit_graph(saved, edit)
    with pytest.raises(SourceError, match="float16 in the graph, but float32"):
        read(saved)


def test_every_shard_is_read(tmp_path: Path) -> None:
    def sharded() -> object:
        return v1.train.Saver(sharded=True)

    def build() -> None:
        networks.plain()

    saved = save(tmp_path / "source", build, saver=sharded)
    read(saved)


def test_without_a_saver_in_the_graph_names_are_enough(saved: Saved) -> None:
    path = Path(f"{saved.prefix}.meta")
    meta = v1.MetaGraphDef()
    meta.ParseFromString(path.read_bytes())
    kept = [node for node in meta.graph_def.node if not node.name.startswith("save/")]
    bare = v1.MetaGraphDef()
    bare.graph_def.node.extend(kept)
    bare.graph_def.versions.CopyFrom(meta.graph_def.versions)
    path.write_bytes(bare.SerializeToString())
    read(saved)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("saved_model.pb", b"", "not a SavedModel"),
        ("model.zip", b"PK\x03\x04", "an archive, which is damaged"),
        ("photo.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "a picture: give the model"),
    ],
)
def test_another_kind_of_source_is_called_by_its_kind(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=kind):
        open_source(tmp_path / name)


def test_a_slice_is_read_as_savers_write_it() -> None:
    assert parse_slice("10 4 0,5:-") == ((10, 4), (slice(0, 5), slice(None)))
    for wrong in ("", "10", "10 4 0,5", "10 0;5"):
        with pytest.raises(ValueError, match=r"slice|''"):
            parse_slice(wrong)
