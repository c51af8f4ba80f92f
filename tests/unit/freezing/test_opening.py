"""Every kind of source is told by its content, wherever it lies and whatever it is called."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format  # type: ignore[import-untyped]  # has no stubs

from freezing.sources.opening import open_source
from freezing.sources.saved_model import UnknownSignatureError
from tests.unit.freezing import networks
from tests.unit.freezing.networks import v1
from tests.unit.freezing.saved import Saved, assert_same_answers, freeze, save
from worker.errors import SourceError
from worker.sources.choice import SourceChoice
from worker.sources.contents import FileContent, sniff


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return save(tmp_path_factory.mktemp("saved") / "source", networks.trained)


@pytest.fixture
def folder(tmp_path: Path, saved: Saved) -> Path:
    """A copy of the checkpoint, to change."""
    return Path(shutil.copytree(saved.folder, tmp_path / "model"))


def graph_of(folder: Path) -> Callable[[], object]:
    """Return a function that gives the checkpoint's GraphDef."""

    def read() -> object:
        meta = v1.MetaGraphDef()
        meta.ParseFromString((folder / "model.ckpt-7.meta").read_bytes())
        return meta.graph_def

    return read


# -- checkpoint and graph ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["graph.pb", "graph.pbtxt", "model.txt", "GraphDef"])
def test_a_graph_beside_a_checkpoint_without_meta(
    saved: Saved, folder: Path, tmp_path: Path, name: str
) -> None:
    graph_def = graph_of(folder)()
    (folder / "model.ckpt-7.meta").unlink()
    tf.io.write_graph(graph_def, str(folder), name, as_text=not name.endswith("pb"))
    for source in (folder, folder / name, folder / "model.ckpt-7"):
        frozen = freeze(source, tmp_path)
        assert_same_answers(saved, frozen)
        assert {file["name"] for file in frozen.outcome["source"]["files"]} == {
            name,
            "model.ckpt-7.index",
            "model.ckpt-7.data-00000-of-00001",
        }


def test_a_graph_with_variables_but_no_checkpoint_says_so(folder: Path, tmp_path: Path) -> None:
    graph_def = graph_of(folder)()
    tf.io.write_graph(graph_def, str(tmp_path / "alone"), "graph.pbtxt")
    with pytest.raises(SourceError, match=r"'graph\.pbtxt' is a graph that is not frozen.*dense/"):
        freeze(tmp_path / "alone", tmp_path)


def test_a_lone_meta_file_says_what_is_missing(folder: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(folder / "model.ckpt-7.meta", lone)
    for source in (lone, lone / "model.ckpt-7.meta"):
        with pytest.raises(SourceError, match=r"no checkpoint lies beside it.*\.index and \.data"):
            freeze(source, tmp_path)


# -- the old format ---------------------------------------------------------------------------


@pytest.mark.parametrize("sharded", [False, True])
def test_a_checkpoint_of_the_old_format(tmp_path: Path, sharded: bool) -> None:
    def build() -> None:
        with v1.variable_scope("", partitioner=v1.fixed_size_partitioner(3)):
            networks.trained()

    def old() -> object:
        return v1.train.Saver(sharded=sharded, write_version=v1.train.SaverDef.V1)

    saved = save(tmp_path / "source", build, saver=old)
    assert not list(saved.folder.glob("*.index"))
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    data = "model.ckpt-7-00000-of-00001" if sharded else "model.ckpt-7"
    assert [file["name"] for file in frozen.outcome["source"]["files"]] == [
        "model.ckpt-7.meta",
        data,
    ]
    content = (saved.folder / data).read_bytes()
    (saved.folder / data).write_bytes(bytes(len(content) // 2) + content[len(content) // 2 :])
    with pytest.raises(SourceError, match="damaged or incomplete"):
        freeze(saved.folder, tmp_path)


# -- graphs that are frozen -------------------------------------------------------------------


@pytest.fixture(scope="module")
def frozen_graph(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("frozen")
    freeze(saved.folder, folder)
    return (folder / "graph.pb").read_bytes()


@pytest.mark.parametrize("name", ["frozen.pb", "frozen.bin", "model", "model.h5"])
@pytest.mark.parametrize("text", [False, True])
def test_a_frozen_graph_of_any_name(
    saved: Saved, frozen_graph: bytes, tmp_path: Path, name: str, text: bool
) -> None:
    folder = tmp_path / "it"
    folder.mkdir()
    graph_def = v1.GraphDef.FromString(frozen_graph)
    content = text_format.MessageToString(graph_def).encode() if text else frozen_graph
    (folder / name).write_bytes(content)
    (folder / "labels.txt").write_text("0 cat\n1 dog\n")
    for source in (folder, folder / name):
        frozen = freeze(source, tmp_path)
        assert_same_answers(saved, frozen)
        assert frozen.outcome["source"]["kind"] == "graph"


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_graph_is_named(frozen_graph: bytes, tmp_path: Path, keep: float) -> None:
    (tmp_path / "frozen.pb").write_bytes(frozen_graph[: int(len(frozen_graph) * keep)])
    with pytest.raises(SourceError, match=r"'frozen\.pb' cannot be read as a graph: it is damaged"):
        open_source(tmp_path / "frozen.pb")


def test_a_text_graph_with_a_mistake_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "g.pbtxt").write_text('node {\n  name: "x"\n  op "Placeholder"\n}\n')
    with pytest.raises(SourceError, match=r"'g\.pbtxt' cannot be read as a graph.*\(line 3\)"):
        open_source(tmp_path)


# -- folders ----------------------------------------------------------------------------------


def test_folders_around_a_model_are_gone_through(saved: Saved, tmp_path: Path) -> None:
    around = tmp_path / "upload" / "my model"
    shutil.copytree(saved.folder, around / "run7")
    (tmp_path / "upload" / "__MACOSX").mkdir()
    (around / "photos").mkdir()
    (around / "photos" / "cat.jpg").write_bytes(b"\xff\xd8\xff")
    assert open_source(tmp_path / "upload").name == "model.ckpt-7"
    shutil.copytree(saved.folder, around / "run8")
    with pytest.raises(SourceError, match=r"Several folders in 'my model' hold models: run7, run8"):
        open_source(tmp_path / "upload")
    source = open_source(tmp_path / "upload", SourceChoice(checkpoint="run8/model.ckpt-7"))
    assert source.files[0].parent.name == "run8"
    with pytest.raises(SourceError, match="There is no 'run9' in the folder 'upload'"):
        open_source(tmp_path / "upload", SourceChoice(checkpoint="run9"))


def test_of_several_model_files_one_must_be_named(frozen_graph: bytes, tmp_path: Path) -> None:
    for name in ("small.pb", "large.pb"):
        (tmp_path / name).write_bytes(frozen_graph)
    with pytest.raises(SourceError, match=r"several models: large\.pb, small\.pb\. Name the one"):
        open_source(tmp_path)
    assert open_source(tmp_path, SourceChoice(checkpoint="small.pb")).name == "small.pb"


def test_a_folder_without_a_model_says_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(SourceError, match=r"no model in the folder .*In it: readme\.txt"):
        open_source(tmp_path)


# -- SavedModels ------------------------------------------------------------------------------


def saved_model(folder: Path, *, text: bool = False, tags: tuple[str, ...] = ("serve",)) -> Path:
    """Write a TF1 SavedModel of a trained network, its variables all 0.1."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        networks.trained()
        session.run(v1.global_variables_initializer())
        for variable in v1.global_variables():
            session.run(v1.assign(variable, tf.fill(tf.shape(variable), 0.1)))
        tensor = graph.get_tensor_by_name
        signatures = {
            name: v1.saved_model.predict_signature_def(
                {"images": tensor("x:0")}, {output: tensor(f"{output}:0")}
            )
            for name, output in (("serving_default", "y_pred"), ("raw", "dense/add"))
        }
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [*tags], signatures)
        if tags != ("serve",):
            builder.add_meta_graph(["train"], signatures)
        builder.save(as_text=text)
    return folder


@pytest.mark.parametrize("text", [False, True])
def test_a_saved_model(tmp_path: Path, text: bool) -> None:
    folder = saved_model(tmp_path / "export" / "1527087601", text=text)
    name = "saved_model.pbtxt" if text else "saved_model.pb"
    images = np.random.default_rng(1).uniform(0, 1, (3, 8, 8, 3)).astype(np.float32)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.saved_model.load(session, ["serve"], str(folder))
        expected = session.run("y_pred:0", {"x:0": images})
    for source in (folder, folder / name, tmp_path / "export"):
        frozen = freeze(source, tmp_path)
        assert frozen.outcome["source"]["kind"] == "saved_model"
        np.testing.assert_allclose(frozen.answers(images)[0], expected, atol=1e-5)


def test_signatures_come_with_the_usual_one_first(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "export")
    source = open_source(folder)
    assert [signature.name for signature in source.signatures] == ["serving_default", "raw"]
    assert source.signatures[0].inputs == {"images": "x:0"}
    assert source.signatures[0].outputs == {"y_pred": "y_pred:0"}
    with pytest.raises(UnknownSignatureError, match=r"no signature 'rav'\. There are: raw"):
        open_source(folder, SourceChoice(signature="rav"))


def test_of_several_graphs_the_one_to_serve_is_taken(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "export", tags=("serve", "gpu"))
    source = open_source(folder)
    assert "gpu, serve" in source.warnings[0]


def test_versions_in_folders_mean_the_latest(tmp_path: Path) -> None:
    for number in (9, 10):
        saved_model(tmp_path / "export" / str(number))
    source = open_source(tmp_path / "export")
    assert source.name == "10"
    assert "latest, 10" in source.warnings[0]
    assert open_source(tmp_path / "export", SourceChoice(checkpoint="9")).name == "9"


def test_a_saved_model_without_its_variables_says_so(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "export")
    (folder / "variables" / "variables.index").unlink()
    with pytest.raises(SourceError, match=r"'variables/variables\.index' is missing in the f"):
        open_source(folder)
    shutil.rmtree(folder / "variables")
    with pytest.raises(SourceError, match=r"'variables/variables\.index' is missing in the f"):
        open_source(folder)


# -- what bytes say ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x0a",
        b"\x08\x01",
        b"hello",
        b"node_modules: {}",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"<html>node { </html>",
        b'{"node": 1}',
        b"12 some label\n",
        bytes(1000),
        b"\xff" * 1000,
    ],
)
def test_other_files_are_not_taken_for_models(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert sniff(tmp_path / "file") is FileContent.UNKNOWN


def test_the_variables_of_a_saved_model_are_not_all_of_it(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "export")
    for source in (folder / "variables", folder / "variables" / "variables.index"):
        with pytest.raises(SourceError, match="the folder that it lies in, with saved_model"):
            open_source(source)


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "graph.pb").touch()
    with pytest.raises(SourceError, match=r"'graph\.pb' is empty"):
        open_source(tmp_path / "graph.pb")


def test_a_saved_model_whose_folders_were_lost_on_the_way(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "export")
    flat = tmp_path / "upload"
    flat.mkdir()
    for path in folder.rglob("*"):
        if path.is_file():
            shutil.copy(path, flat)
    assert open_source(flat).kind == "saved_model"
    frozen = freeze(flat, tmp_path)
    assert frozen.outcome["parameters"] == 192 * 4 + 4


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x08\x07\x12\x07pytorch\x1a\x031.9:\x04\x0a\x02\x0a\x00", "an ONNX model"),
        (b"\x08\x04\x3a\x10\x0a\x0e\x0a\x01x\x12\x01y" + bytes(4), "an ONNX model"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(20), "a TensorFlow Lite model"),
    ],
)
def test_what_is_made_from_models_is_called_by_its_name(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    (tmp_path / "model.pb").write_bytes(content)
    for source in (tmp_path, tmp_path / "model.pb"):
        with pytest.raises(SourceError, match=f"'model.pb' is {kind}[:;] give what it was conv"):
            open_source(source)


def test_a_checkpoint_of_objects_holds_no_graph(tmp_path: Path) -> None:
    kept = tf.train.Checkpoint(weights=tf.Variable([1.0, 2.0]))
    kept.write(str(tmp_path / "it" / "weights"))
    with pytest.raises(SourceError, match=r"'weights' is a checkpoint of TensorFlow 2, which"):
        open_source(tmp_path / "it")
