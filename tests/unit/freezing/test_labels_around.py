"""What of a sources root may be read around a SavedModel: files that may hold its labels."""

from pathlib import Path

from freezing.sources.readable_paths import labels_around


def test_labels_around_a_saved_model_are_within_reach(tmp_path: Path) -> None:
    root = tmp_path / "root"
    export = root / "pets" / "export"
    export.mkdir(parents=True)
    (export / "saved_model.pb").write_bytes(b"x")
    for name in ("labels.txt", "train.py", "weights.bin", "._labels.txt", ".secret.json"):
        (root / "pets" / name).write_text("cat\ndog")
    (tmp_path / "elsewhere.txt").write_text("cat\ndog")
    (root / "pets" / "linked_labels.txt").symlink_to(tmp_path / "elsewhere.txt")
    for source in (export, export / "saved_model.pb"):
        assert labels_around(source, [root]) == [root / "pets" / "labels.txt"]
    # Nothing is looked at outside of the roots, nor around what is no SavedModel.
    assert not labels_around(export, [export])
    assert not labels_around(root / "pets", [tmp_path])
