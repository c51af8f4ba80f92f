"""Which files of this machine are sent as a source."""

from pathlib import Path

import pytest

from api.cli.sources import local_files
from worker.errors import InvalidRequestError

CHECKPOINT = ("m.data-00000-of-00002", "m.data-00001-of-00002", "m.index", "m.meta")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work beside the folder `model`, and give it."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "model"
    made.mkdir()
    return made


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(source: str) -> list[str]:
    found = local_files(source)
    assert found is not None
    assert all(path.is_file() for _, path in found)
    return sorted(name for name, _ in found)


@pytest.mark.parametrize("source", ["model/m", *(f"model/{name}" for name in CHECKPOINT)])
def test_a_prefix_and_any_of_its_files_mean_the_whole_checkpoint(folder: Path, source: str) -> None:
    put(folder, *CHECKPOINT, "mm.index", "m-2.meta", "notes.txt", "checkpoint")
    assert names(source) == list(CHECKPOINT)


@pytest.mark.parametrize("source", ["model", "model/", "model/checkpoint"])
def test_a_folder_means_the_checkpoint_that_its_pointer_names(folder: Path, source: str) -> None:
    put(folder, *CHECKPOINT, "older.index", "older.meta")
    (folder / "checkpoint").write_text(
        'model_checkpoint_path: "/trained/elsewhere/m"\nall_model_checkpoint_paths: "older"\n'
    )
    assert names(source) == ["checkpoint", *CHECKPOINT]


def test_the_working_folder_can_be_meant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, *CHECKPOINT)
    (folder / "checkpoint").write_text('model_checkpoint_path: "m"\n')
    monkeypatch.chdir(folder)
    for source in (".", "checkpoint", "m", "m.meta", "./m"):
        assert set(CHECKPOINT) <= set(names(source))


def test_a_folder_without_a_pointer_means_its_only_checkpoint(folder: Path) -> None:
    put(folder, *CHECKPOINT)
    assert names("model") == list(CHECKPOINT)
    (folder / "checkpoint").write_text("not what TensorFlow writes \xff")
    assert names("model") == ["checkpoint", *CHECKPOINT]


def test_a_checkpoint_of_the_old_form_has_data_without_a_suffix(folder: Path) -> None:
    put(folder, "m", "m.meta")
    assert names("model/m.meta") == ["m", "m.meta"]
    assert names("model") == ["m", "m.meta"]


def test_a_checkpoint_without_meta_brings_the_graph_beside_it(folder: Path) -> None:
    put(folder, "m.index", "m.data-00000-of-00001", "graph.pb")
    assert names("model") == ["graph.pb", "m.data-00000-of-00001", "m.index"]


@pytest.mark.parametrize("source", ["model", "model/saved_model.pb"])
def test_a_saved_model_is_sent_with_its_folders(folder: Path, source: str) -> None:
    put(folder, "saved_model.pb", "variables/variables.index", "assets/words.txt")
    assert names(source) == ["assets/words.txt", "saved_model.pb", "variables/variables.index"]


@pytest.mark.parametrize("name", ["m.pb", "m.h5", "m.hdf5", "m.keras", "m.zip", "m.tar.gz", "m"])
def test_a_file_that_is_a_model_by_itself_is_sent_alone(folder: Path, name: str) -> None:
    put(folder, name, "other.txt")
    assert names(f"model/{name}") == [name]


def test_shards_of_the_old_form_belong_to_their_meta_file(folder: Path) -> None:
    put(folder, "m.meta", "m-00000-of-00002", "m-00001-of-00002", "m-2.meta", "notes.txt")
    parts = ["m-00000-of-00002", "m-00001-of-00002", "m.meta"]
    assert names("model/m") == names("model/m-00001-of-00002") == parts


def test_data_of_the_old_form_means_its_checkpoint(folder: Path) -> None:
    put(folder, "m.ckpt", "m.ckpt.meta", "notes.txt")
    assert names("model/m.ckpt") == ["m.ckpt", "m.ckpt.meta"]


def test_a_graph_brings_the_variables_beside_it(folder: Path) -> None:
    put(folder, "g.pbtxt", "m.index", "m.data-00000-of-00001", "checkpoint", "notes.txt")
    whole = ["checkpoint", "g.pbtxt", "m.data-00000-of-00001", "m.index"]
    assert names("model/g.pbtxt") == whole
    put(folder, "m.meta")
    assert names("model/g.pbtxt") == ["g.pbtxt"]


def test_of_checkpoints_with_steps_the_latest_is_sent(folder: Path) -> None:
    put(folder, *(f"m-{step}.{part}" for step in (90, 1000) for part in ("index", "meta")))
    assert names("model") == ["m-1000.index", "m-1000.meta"]


def test_folders_around_a_model_are_gone_through(folder: Path) -> None:
    for version in ("9", "10"):
        put(folder, f"export/{version}/saved_model.pb", f"export/{version}/variables/v.index")
    put(folder, "logs/events.out")
    assert names("model") == ["saved_model.pb", "variables/v.index"]
    found = local_files("model")
    assert found is not None
    assert found[0][1].parent.name == "10"
    put(folder, "other/m.h5")
    with pytest.raises(InvalidRequestError, match=r"several models: name one of .*10, .*other"):
        local_files("model")


def test_a_folder_with_one_such_file_means_it(folder: Path) -> None:
    put(folder, "m.h5", "other.txt")
    assert names("model") == ["m.h5"]


@pytest.mark.parametrize("source", ["model/m", "far/away/m", "/trained/m", "m", "far/m.meta"])
def test_what_is_not_here_may_be_on_the_server(folder: Path, source: str) -> None:
    put(folder, "other.meta")
    assert local_files(source) is None


@pytest.mark.parametrize("source", ["./m", "../m", "~/m", "a/../m"])
def test_what_can_only_be_meant_here_is_not_asked_of_the_server(folder: Path, source: str) -> None:
    with pytest.raises(InvalidRequestError, match="There is no file, folder or checkpoint"):
        local_files(source)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "holds no model"),
        (["notes.txt"], "holds no model"),
        (["checkpoint"], "holds no model"),
        (["a.index", "b.index"], "several checkpoints: name one of model/a, model/b"),
        (["a.pb", "b.h5"], "several models: name one of model/a.pb, model/b.h5"),
        ([f"{n}.meta" for n in range(9)], "model/4 and 4 more"),
    ],
)
def test_a_folder_that_leaves_it_open_says_what_there_is(
    folder: Path, files: list[str], words: str
) -> None:
    put(folder, *files)
    with pytest.raises(InvalidRequestError, match=words):
        local_files("model")


def test_names_that_are_not_text_are_found(folder: Path) -> None:
    put(folder, "caf\udce9.index", "caf\udce9.meta")
    assert names("model") == ["caf\udce9.index", "caf\udce9.meta"]
    assert names("model/caf\udce9") == ["caf\udce9.index", "caf\udce9.meta"]
