"""Labels in files that come with a model."""

import json
from pathlib import Path
from typing import Any

import pytest

from freezing.sources.label_files import as_labels, labels_beside

LABELS = ["cat", "dog", "red fox"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "cat\ndog\nred fox\n"),
        ("retrained_labels.txt", "0:cat\n1:dog\n2:red fox"),
        ("assets/Labels.txt", "0 cat\n1 dog\n2 red fox\n"),
        ("assets.extra/class_names.txt", "cat\r\ndog\r\nred fox\r\n"),
        ("class_indices.json", json.dumps({"dog": 1, "red fox": 2, "cat": 0})),
        ("imagenet_class_index.json", json.dumps({"2": ["n3", "red fox"], "0": "cat", "1": "dog"})),
        ("class_names.json", json.dumps(LABELS)),
    ],
)
def test_labels_are_found_in(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content.encode())
    (tmp_path / "requirements.txt").write_text("tensorflow")
    assert labels_beside(tmp_path) == (LABELS, Path(name).name)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"readme.txt": "cat\ndog"},
        {"labels.txt": ""},
        {"labels.json": "{"},
        {"labels.txt": "cat\n", "class_names.txt": "dog\n"},  # which of them?
        {"train_labels.json": json.dumps([{"file": "a.jpg", "class": 3}])},
    ],
)
def test_no_labels_are_made_up_from(tmp_path: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert labels_beside(tmp_path) is None


@pytest.mark.parametrize("value", [None, "cat", 3, [], {}, ["cat", 3], {"a": "b"}, {"0": 1.5}])
def test_what_is_no_list_of_texts_gives_no_labels(value: Any) -> None:
    assert as_labels(value) is None
