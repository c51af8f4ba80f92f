"""Which files of this machine are sent as a source."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest

from api.cli.following import check_may_be_on_server
from api.client.sources import LocalSourceError, is_here, local_source
from worker.errors import InvalidRequestError

CHECKPOINT = ("m.data-00000-of-00002", "m.data-00001-of-00002", "m.index", "m.meta")
TABLE = b"tensors" + bytes.fromhex("57fb808b247547db")
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(500)
GRAPH = b"\x0a\x0e\x0a\x05dense\x12\x05Const"
GRAPH_WITH_VARIABLES = b"\x0a\x13\x0a\x05dense\x12\x0aVariableV2"
SAVED_MODEL = b"\x08\x01\x12\x17\x0a\x15\x0a\x05dense\x12\x0cVariableV2xx"
SAVED_MODEL_WITH_VARIABLES = b"\x08\x01\x12\x15\x0a\x13\x0a\x05dense\x12\x0aVariableV2"
LAYERS = json.dumps({"class_name": "Sequential", "config": {"layers": []}}).encode()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 98765432\n"


def keras() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(name, b"{}")
    return stream.getvalue()


CONTENTS = {
    ".index": TABLE,
    ".meta": GRAPH_WITH_VARIABLES,
    ".h5": HDF5 + b"model_config",
    ".pb": GRAPH,
    ".keras": keras(),
    ".json": LAYERS,
    ".gz": gzip.compress(GRAPH),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work beside the folder `model`, and give it."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "model"
    made.mkdir()
    return made


def put(folder: Path, *names: str, **contents: bytes) -> None:
    """Lay files of these names, each with what files of its suffix hold."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = contents.get("content", CONTENTS.get(path.suffix, b"x\x00"))
        path.write_bytes(SAVED_MODEL if path.name == "saved_model.pb" else content)


def names(source: str) -> list[str]:
    found = local_source(Path(source))
    assert all(path.is_file() for _, path in found.named())
    return sorted(name for name, _ in found.named())


@pytest.mark.parametrize("source", ["model/m", *(f"model/{name}" for name in CHECKPOINT)])
def test_a_prefix_and_any_of_its_files_mean_the_whole_checkpoint(folder: Path, source: str) -> None:
    put(folder, *CHECKPOINT, "mm.index", "m-2.meta", "notes.txt", "checkpoint")
    assert names(source) == list(CHECKPOINT)


@pytest.mark.parametrize("source", ["model", "model/", "model/checkpoint"])
@pytest.mark.parametrize("path", ["/trained/elsewhere/m", r"C:\\trained\\m", "m", r"\155"])
def test_a_folder_means_the_checkpoint_that_its_pointer_names(
    folder: Path, source: str, path: str
) -> None:
    put(folder, *CHECKPOINT, "older.index", "older.meta", "._m.index", "._checkpoint")
    (folder / "checkpoint").write_text(
        f'model_checkpoint_path: "{path}"\nall_model_checkpoint_paths: "older"\n'
    )
    assert names(source) == ["checkpoint", *CHECKPOINT]


def test_a_name_with_octal_escapes_is_found(folder: Path) -> None:
    put(folder, "modèle.index", "modèle.data-00000-of-00001", "modèle.meta", "x.index", "x.meta")
    (folder / "checkpoint").write_text(r'model_checkpoint_path: "/a/mod\303\250le"')
    assert "modèle.index" in names("model")


def test_the_working_folder_can_be_meant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, *CHECKPOINT)
    (folder / "checkpoint").write_text('model_checkpoint_path: "m"\n')
    monkeypatch.chdir(folder)
    for source in (".", "checkpoint", "m", "m.meta", "./m", "../model"):
        assert set(CHECKPOINT) <= set(names(source))


def test_a_folder_without_a_pointer_means_its_only_checkpoint(folder: Path) -> None:
    put(folder, *CHECKPOINT)
    assert names("model") == list(CHECKPOINT)
    (folder / "checkpoint").write_text("not what TensorFlow writes \xff")
    assert names("model") == list(CHECKPOINT)


def test_a_checkpoint_of_the_old_form_has_data_without_a_suffix(folder: Path) -> None:
    put(folder, "m.meta")
    put(folder, "m", content=TABLE)
    assert names("model/m.meta") == ["m", "m.meta"]
    assert names("model") == names("model/m") == ["m", "m.meta"]


def test_a_checkpoint_without_meta_brings_the_graph_beside_it(folder: Path) -> None:
    put(folder, "m.index", "m.data-00000-of-00001")
    put(folder, "graph.pb", content=GRAPH_WITH_VARIABLES)
    assert names("model") == ["graph.pb", "m.data-00000-of-00001", "m.index"]
    assert names("model/graph.pb") == ["graph.pb", "m.data-00000-of-00001", "m.index"]


@pytest.mark.parametrize("source", ["model", "model/saved_model.pb"])
def test_a_saved_model_is_sent_with_what_belongs_to_it(folder: Path, source: str) -> None:
    put(folder, "saved_model.pb", "variables/variables.index", "assets/words.txt", "train.py")
    (folder.parent / "labels.txt").write_text("cat\ndog\n")
    (folder.parent / "secrets.json").write_text('{"labels": ["a"], "password": "b"}')
    assert names(source) == [
        "labels.txt",
        "model/assets/words.txt",
        "model/saved_model.pb",
        "model/variables/variables.index",
    ]


def test_a_saved_model_without_its_variables_is_not_sent(folder: Path) -> None:
    (folder / "saved_model.pb").write_bytes(SAVED_MODEL_WITH_VARIABLES)
    missing = r"'variables/variables.index' is missing in the folder 'model'"
    with pytest.raises(LocalSourceError, match=missing):
        local_source(Path("model"))


@pytest.mark.parametrize("name", ["m.pb", "m.h5", "m.keras", "m.pb.gz"])
def test_a_file_that_is_a_model_by_itself_is_sent_with_its_labels(folder: Path, name: str) -> None:
    put(folder, name, "other.txt", "model.py")
    for source in (f"model/{name}", "model"):
        assert names(source) == [name]
    (folder / "labels.txt").write_text("0 cat\n1 dog\n")
    assert names(f"model/{name}") == sorted([name, "labels.txt"])


@pytest.mark.parametrize("source", ["model", "model/m.h5", "model/layers.json"])
def test_weights_are_sent_with_the_layers_beside_them(folder: Path, source: str) -> None:
    put(folder, "layers.json")
    put(folder, "m.h5", content=HDF5)
    (folder / "package.json").write_text('{"name": "x"}')
    assert names(source) == ["layers.json", "m.h5"]


def test_layers_alone_say_what_is_missing(folder: Path) -> None:
    put(folder, "layers.json")
    with pytest.raises(LocalSourceError, match=r"layers of a Keras model without its weights: put"):
        local_source(Path("model/layers.json"))


def test_a_whole_model_does_not_take_the_layers_of_another(folder: Path) -> None:
    put(folder, "m.h5", "layers.json")
    assert names("model/m.h5") == ["m.h5"]


@pytest.mark.parametrize("name", ["variables.index", "variables.data-00000-of-00001"])
def test_a_pointer_of_git_lfs_among_the_files_is_not_sent(folder: Path, name: str) -> None:
    put(folder, "saved_model.pb", "variables/variables.index", "variables/" + name)
    (folder / "variables" / name).write_bytes(POINTER)
    with pytest.raises(LocalSourceError, match=f"'{name}' is a pointer of Git LFS.*git lfs pull"):
        local_source(Path("model"))


def test_shards_of_the_old_form_belong_to_their_meta_file(folder: Path) -> None:
    put(folder, "m.meta", "m-2.meta", "notes.txt")
    put(folder, "m-00000-of-00002", "m-00001-of-00002", content=TABLE)
    parts = ["m-00000-of-00002", "m-00001-of-00002", "m.meta"]
    assert names("model/m") == names("model/m-00001-of-00002") == parts


def test_of_checkpoints_with_steps_the_latest_is_sent(folder: Path) -> None:
    parts = ("data-00000-of-00001", "index", "meta")
    put(folder, *(f"m-{step}.{part}" for step in (90, 1000) for part in parts))
    assert names("model") == [f"m-1000.{part}" for part in parts]
    found = local_source(Path("model"))
    assert "the latest, 'm-1000'" in found.warnings[0]
    assert "m-90.index" in [name for name, _ in local_source(Path("model"), "m-90").named()]


def test_folders_around_a_model_are_gone_through(folder: Path) -> None:
    for version in ("9", "10"):
        put(folder, f"export/{version}/saved_model.pb", f"export/{version}/variables/v.index")
    put(folder, "logs/events.out")
    assert names("model") == ["export/10/saved_model.pb", "export/10/variables/v.index"]
    put(folder, "other/m.h5")
    with pytest.raises(LocalSourceError, match=r"Several folders in 'model' hold models: export"):
        local_source(Path("model"))


@pytest.mark.parametrize("source", ["model/m", "far/away/m", "m", "far/m.meta"])
def test_what_is_not_here_may_be_on_the_server(folder: Path, source: str) -> None:
    put(folder, "other.meta")
    assert not is_here(Path(source))
    check_may_be_on_server(source)


@pytest.mark.parametrize("source", ["./m", "../m", "~/m", "a/../m", "/trained/m", "/m.meta"])
def test_what_can_only_be_meant_here_is_not_asked_of_the_server(folder: Path, source: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"on this machine.*, for instance m"):
        check_may_be_on_server(source)


def test_what_is_not_here_is_no_source_of_this_machine(folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no file, folder or checkpoint model/m"):
        local_source(Path("model/m"))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "There is no model in the folder 'model'.* It is empty"),
        (["notes.txt"], "There is no model in the folder 'model'.* In it: notes.txt"),
        (["a.pb", "b.h5"], "several models: a.pb, b.h5"),
        ([f"{n}.pb" for n in range(11)], "6.pb and 3 more"),
    ],
)
def test_a_folder_that_leaves_it_open_says_what_there_is(
    folder: Path, files: list[str], words: str
) -> None:
    put(folder, *files)
    with pytest.raises(LocalSourceError, match=words):
        local_source(Path("model"))


def test_names_that_are_not_text_are_found(folder: Path) -> None:
    parts = ("data-00000-of-00001", "index", "meta")
    put(folder, *(f"caf\udce9.{part}" for part in parts))
    assert names("model") == [f"caf\udce9.{part}" for part in parts]
    assert names("model/caf\udce9") == [f"caf\udce9.{part}" for part in parts]
