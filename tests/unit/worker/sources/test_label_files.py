"""Labels in files that lie beside a model."""

import json
from pathlib import Path

import pytest

from worker.sources.label_files import label_files, those_that_fit

LABELS = ("cat", "dog", "red fox")
GRAPH = b"\x0a\x0e\x0a\x05dense\x12\x05Const"


def lay(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode())
    return folder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "cat\ndog\nred fox\n"),
        ("retrained_labels.txt", "0:cat\n1:dog\n2:red fox"),
        ("assets/Labels.txt", "0 cat\n1 dog\n2 red fox\n"),
        ("assets.extra/class_names.txt", "cat\r\ndog\r\nred fox\r\n"),
        ("labels.txt", "cat, dog, red fox\n"),
        ("ClassNames.txt", "['cat', 'dog', 'red fox']"),
        ("classes.txt", "{'dog': 1, 'red fox': 2, 'cat': 0}"),
        ("pets.names", "cat\ndog\nred fox\n"),
        ("class_indices.json", json.dumps({"dog": 1, "red fox": 2, "cat": 0})),
        ("anything.json", json.dumps({"dog": 1, "red fox": 2, "cat": 0})),
        ("anything.json", json.dumps({"1": "dog", "2": "red fox", "0": "cat"})),
        ("imagenet_class_index.json", json.dumps({"2": ["n3", "red fox"], "0": "cat", "1": "dog"})),
        ("class_names.json", json.dumps(LABELS)),
        ("class_names.json", json.dumps([LABELS])),
        ("labels.json", json.dumps([["dog", 1], ["cat", 0], ["red fox", 2]])),
        ("labels.json", json.dumps([{"id": n + 1, "name": one} for n, one in enumerate(LABELS)])),
        ("model_metadata.json", json.dumps({"size": [8, 8], "class_names": LABELS})),
        ("metadata.json", json.dumps({"model": {}, "labels": LABELS, "classes": LABELS})),
        ("config.json", json.dumps({"id2label": {"0": "cat", "1": "dog", "2": "red fox"}})),
        (
            "pets.pbtxt",
            "item {id: 2 name: 'dog'}\nitem {\nname: \"cat\" id: 1}\nitem {name: 'red fox' id: 3}",
        ),
        ("labels.csv", "ClassId,Sign\n1,dog\n0,cat\n2,red fox\n"),
        ("class_dict.csv", "class_index,class,height\n0,cat,32\n1,dog,32\n2,red fox,32\n"),
        ("labels.csv", "label\ncat\ndog\nred fox\n"),
    ],
)
def test_labels_are_found_in(tmp_path: Path, name: str, content: str) -> None:
    lay(
        tmp_path, {name: content, "requirements.txt": "tensorflow", "history.json": '{"loss": [1]}'}
    )
    found = label_files(tmp_path, "model")
    assert [(one.labels, one.path) for one in found] == [(LABELS, tmp_path / name)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("readme.txt", "cat\ndog"),
        ("labels.txt", ""),
        ("labels.txt", "cat\n\ndog\n"),
        ("labels.json", "{"),
        ("labels.json", "[" * 5000),
        ("._labels.txt", "cat\ndog"),
        ("passwords.json", json.dumps(["one", "two"])),
        ("settings.json", json.dumps({"labels": ["cat", "dog"], "password": "x"})),
        ("train_labels.json", json.dumps([{"file": "a.jpg", "class": 3}])),
        ("class_indices.json", json.dumps({"cat": 0, "dog": 2})),  # which class is between them?
        ("class_indices.json", json.dumps({"cat": 0, "dog": 0})),
        ("metadata.json", json.dumps({"labels": ["cat", "dog"], "classes": ["dog", "cat"]})),
        ("labels.csv", "id,breed\n000bec,boston\n001513,dingo\n"),  # of samples
        ("labels.csv", "id,label\n0,1\n1,0\n"),
        ("labels.csv", "id,label\n0,dog\n1,dog\n"),
        ("map.pbtxt", 'node { name: "x" op: "Placeholder" }'),
        ("labels.png", "cat\ndog"),
    ],
)
def test_no_labels_are_made_up_from(tmp_path: Path, name: str, content: str) -> None:
    assert not label_files(lay(tmp_path, {name: content}), "model")


def test_only_files_with_a_label_for_each_class_fit(tmp_path: Path) -> None:
    lay(
        tmp_path, {"labels.txt": "a\nb\nc", "pairs.json": '{"a": 0, "b": 1}', "x_names.txt": "a\nb"}
    )
    found = label_files(tmp_path, "model")
    assert [one.path.name for one in those_that_fit(found, 3)] == ["labels.txt"]
    # The one that says so counts before the one that merely could.
    assert [one.path.name for one in those_that_fit(found, 2)] == ["x_names.txt"]
    assert [one.path.name for one in those_that_fit(found, 1)] == ["x_names.txt"]  # yes or no
    assert not those_that_fit(found, 4)


def test_labels_that_are_called_like_another_model_are_its_own(tmp_path: Path) -> None:
    lay(tmp_path, {"pets_labels.txt": "cat\ndog", "cars.labels.txt": "bus\ntram"})
    for name in ("pets.pb", "cars.h5"):
        (tmp_path / name).write_bytes(GRAPH)
    assert [one.labels for one in label_files(tmp_path, "pets")] == [("cat", "dog")]
    assert [one.labels for one in label_files(tmp_path, "cars")] == [("bus", "tram")]


def test_what_is_out_of_reach_is_not_looked_at(tmp_path: Path) -> None:
    lay(tmp_path, {"labels.txt": "cat\ndog", "other_labels.txt": "bus\ntram", "model/x": ""})
    assert not label_files(tmp_path, "model", [tmp_path / "model"])
    reach = [tmp_path / "model", tmp_path / "labels.txt"]
    assert [one.labels for one in label_files(tmp_path, "model", reach)] == [("cat", "dog")]
    assert len(label_files(tmp_path, "model", [tmp_path])) == 2
