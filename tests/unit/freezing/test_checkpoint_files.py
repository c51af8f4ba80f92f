"""Finding a checkpoint's files from whatever a person names, or saying what is missing."""

from pathlib import Path

import pytest

from worker.errors import SourceError
from worker.sources.checkpoint_files import locate


def lay(folder: Path, *names: str, state: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    if state is not None:
        (folder / "checkpoint").write_text(state)
    return folder


def checkpoint(prefix: str, shards: int = 1) -> list[str]:
    data = [f"{prefix}.data-{number:05d}-of-{shards:05d}" for number in range(shards)]
    return [f"{prefix}.meta", f"{prefix}.index", *data]


@pytest.mark.parametrize(
    "name",
    ["", "model.ckpt-5", "model.ckpt-5.meta", "model.ckpt-5.index", "checkpoint"]
    + [f"model.ckpt-5.data-0000{number}-of-00002" for number in (0, 1)],
)
def test_a_folder_a_prefix_and_each_file_mean_the_checkpoint(tmp_path: Path, name: str) -> None:
    state = 'model_checkpoint_path: "model.ckpt-5"\n'
    folder = lay(tmp_path / "model", *checkpoint("model.ckpt-5", shards=2), state=state)
    files = locate(folder / name)
    assert files.prefix == folder / "model.ckpt-5"
    assert [file.name for file in files.all] == checkpoint("model.ckpt-5", shards=2)
    assert not files.warnings


@pytest.mark.parametrize(
    "path",
    ["/home/someone/run/model-2", "C:\\\\models\\\\run\\\\model-2", "run/model-2", "./model-2"],
)
def test_a_path_of_another_machine_counts_by_its_last_part(tmp_path: Path, path: str) -> None:
    lay(tmp_path, *checkpoint("model-1"), *checkpoint("model-2"), *checkpoint("model-3"))
    lay(tmp_path, state=f'model_checkpoint_path: "{path}"\nall_model_checkpoint_paths: "model-3"\n')
    assert locate(tmp_path).prefix.name == "model-2"


def test_the_latest_of_several_is_used_where_nothing_names_one(tmp_path: Path) -> None:
    lay(tmp_path, *checkpoint("model.ckpt-90"), *checkpoint("model.ckpt-1000"))
    files = locate(tmp_path)
    assert files.prefix.name == "model.ckpt-1000"
    assert "model.ckpt-1000" in files.warnings[0]


def test_an_outdated_state_file_does_not_hide_the_only_checkpoint(tmp_path: Path) -> None:
    lay(tmp_path, *checkpoint("renamed"), state='model_checkpoint_path: "model.ckpt-5"')
    files = locate(tmp_path)
    assert files.prefix.name == "renamed"
    assert "model.ckpt-5" in files.warnings[0]


def test_an_outdated_state_file_beside_several_checkpoints_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, *checkpoint("model-1"), *checkpoint("model-2"))
    lay(tmp_path, state='model_checkpoint_path: "model-9"')
    with pytest.raises(SourceError, match=r"names 'model-9', which is not there.*model-1"):
        locate(tmp_path)


@pytest.mark.parametrize(
    "missing",
    ["model.meta", "model.index", "model.data-00000-of-00003", "model.data-00002-of-00003"],
)
def test_a_missing_file_is_named_with_its_folder_and_what_is_there(
    tmp_path: Path, missing: str
) -> None:
    lay(tmp_path / "mine", *[name for name in checkpoint("model", 3) if name != missing])
    with pytest.raises(SourceError) as refused:
        locate(tmp_path / "mine" / "model")
    assert f"'{missing}' is missing in folder 'mine'" in refused.value.message
    assert "There are: model." in refused.value.message
    assert "model.data-00001-of-00003" in refused.value.message
    with pytest.raises(SourceError, match=missing):
        locate(tmp_path / "mine")


def test_all_data_missing_is_told_as_the_first_file(tmp_path: Path) -> None:
    lay(tmp_path, "model.meta", "model.index")
    with pytest.raises(SourceError, match=r"'model\.data-00000-of-00001' is missing"):
        locate(tmp_path)


def test_a_graph_under_another_name_is_used_if_it_is_the_only_one(tmp_path: Path) -> None:
    lay(tmp_path, *checkpoint("model-9")[1:], "model.meta")
    files = locate(tmp_path)
    assert files.graph.name == "model.meta"
    assert "model.meta" in files.warnings[0]


def test_a_prefix_that_is_not_there_is_answered_with_the_nearest_names(tmp_path: Path) -> None:
    lay(tmp_path / "mine", *checkpoint("dogs-cats-model"), "readme.txt")
    with pytest.raises(SourceError) as refused:
        locate(tmp_path / "mine" / "dogs-cat-model")
    assert "no checkpoint 'dogs-cat-model' in folder 'mine'" in refused.value.message
    assert "dogs-cats-model.meta" in refused.value.message
    assert "readme.txt" not in refused.value.message


def test_an_empty_folder_and_no_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="The folder is empty"):
        locate(tmp_path)
    with pytest.raises(SourceError, match="no folder 'nowhere'"):
        locate(tmp_path / "nowhere" / "model")


OLD_DATA = b"tensors" + bytes.fromhex("57fb808b247547db")


@pytest.mark.parametrize("name", ["", "model.ckpt", "model.ckpt.meta", "checkpoint"])
def test_data_of_the_old_format_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    lay(tmp_path, "model.ckpt.meta", "notes", state='model_checkpoint_path: "model.ckpt"')
    (tmp_path / "model.ckpt").write_bytes(OLD_DATA)
    files = locate(tmp_path / name)
    assert [file.name for file in files.all] == ["model.ckpt.meta", "model.ckpt"]
    assert files.values.index is None


@pytest.mark.parametrize("name", ["", "export", "export-00001-of-00002", "export.meta"])
def test_shards_of_the_old_format_belong_together(tmp_path: Path, name: str) -> None:
    lay(tmp_path, "export.meta", state='model_checkpoint_path: "/tmp/export-?????-of-00002"')
    for number in (0, 1):
        (tmp_path / f"export-0000{number}-of-00002").write_bytes(OLD_DATA)
    files = locate(tmp_path / name)
    assert files.prefix.name == "export"
    assert len(files.values.data) == 2
    assert files.values.pattern == str(tmp_path / "export-?????-of-00002")
    files.values.data[0].unlink()
    with pytest.raises(SourceError, match="'export-00000-of-00002' is missing"):
        locate(tmp_path / name)


GRAPH_WITH_VARIABLES = b"\x0a\x13\x0a\x05dense\x12\x0aVariableV2"
FROZEN_GRAPH = b"\x0a\x0e\x0a\x05dense\x12\x05Const"


def test_a_graph_with_variables_stands_for_a_missing_meta_file(tmp_path: Path) -> None:
    lay(tmp_path, *checkpoint("model-9")[1:])
    (tmp_path / "eval.pb").write_bytes(GRAPH_WITH_VARIABLES)
    (tmp_path / "frozen.pb").write_bytes(FROZEN_GRAPH)
    files = locate(tmp_path)
    assert files.graph.name == "eval.pb"
    assert "eval.pb" in files.warnings[0]
    (tmp_path / "train.pb").write_bytes(GRAPH_WITH_VARIABLES)
    with pytest.raises(SourceError, match=r"eval\.pb, train\.pb\. Name one with `checkpoint`"):
        locate(tmp_path)


def test_a_photograph_is_no_checkpoint(tmp_path: Path) -> None:
    lay(tmp_path / "mine", "photo.jpg", *checkpoint("model"))
    with pytest.raises(SourceError, match=r"There is no checkpoint 'photo\.jpg'"):
        locate(tmp_path / "mine" / "photo.jpg")
