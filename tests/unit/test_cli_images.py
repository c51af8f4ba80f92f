"""Which files are images to classify."""

import os
from pathlib import Path

import pytest

from api.cli.images import find
from worker.errors import InvalidRequestError

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(*names: str, content: bytes = b"") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def paths(*given: str) -> list[str]:
    return [entry.path for entry in find(given).entries]


def test_a_folder_is_walked_in_the_order_of_names() -> None:
    put("f/b.jpg", "f/a.jpg", "f/a/z.png", "f/c/d/e.webp", "f/Z.JPEG")
    assert paths("f") == ["f/Z.JPEG", "f/a/z.png", "f/a.jpg", "f/b.jpg", "f/c/d/e.webp"]


def test_what_is_named_comes_in_the_order_given_whatever_its_suffix() -> None:
    put("f/a.jpg", "b.txt", "-c.jpg")
    assert paths("b.txt", "f", "-c.jpg", "b.txt") == ["b.txt", "f/a.jpg", "-c.jpg", "b.txt"]


def test_other_files_are_passed_over_and_counted() -> None:
    put("f/a.jpg", "f/.DS_Store", "f/._a.jpg", "f/notes.txt", "f/data", "f/photo.jpg.txt")
    found = find(["f"])
    assert [entry.path for entry in found.entries] == ["f/a.jpg"]
    assert found.skipped == 5


def test_a_file_without_a_suffix_is_an_image_if_it_begins_as_one() -> None:
    put("f/scan", ".f", "f/.hidden", content=PNG)
    put("f/empty")
    assert paths("f") == ["f/.hidden", "f/scan"]
    assert find(["f"]).skipped == 1


def test_photographs_that_workers_cannot_read_still_get_a_row() -> None:
    put("f/IMG_1.HEIC", "f/x.avif")
    assert paths("f") == ["f/IMG_1.HEIC", "f/x.avif"]


def test_links_to_folders_are_followed_only_where_they_were_named() -> None:
    put("real/a.jpg", "f/b.jpg")
    Path("f/link").symlink_to("../real")
    Path("f/loop").symlink_to(".")
    Path("f/file.jpg").symlink_to("../real/a.jpg")
    Path("f/dangling.jpg").symlink_to("nowhere")
    assert paths("f") == ["f/b.jpg", "f/file.jpg"]
    assert paths("f/link") == ["f/link/a.jpg"]
    assert find(["f"]).skipped == 1


def test_what_is_neither_file_nor_folder_does_not_hang() -> None:
    put("f/a.jpg")
    os.mkfifo("f/pipe.jpg")
    os.mkfifo("f/pipe")
    assert paths("f") == ["f/a.jpg"]
    with pytest.raises(InvalidRequestError, match=r"f/pipe is neither a file nor a folder"):
        find(["f/pipe"])


@pytest.mark.parametrize("given", ["none.jpg", "caf\udce9", "a\nb", ""])
def test_a_path_that_is_not_there_is_named(given: str) -> None:
    with pytest.raises(InvalidRequestError, match="There is no file or folder"):
        find([given])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_gets_a_row() -> None:
    put("f/closed/a.jpg", "f/b.jpg")
    Path("f/closed").chmod(0)
    found = find(["f"])
    Path("f/closed").chmod(0o700)
    assert [entry.path for entry in found.entries] == ["f/b.jpg", "f/closed"]
    assert "cannot be read" in str(found.entries[1].error)


def test_a_folder_that_vanishes_gets_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    put("f/b.jpg")
    real = os.scandir

    def scandir(path: str) -> object:
        if path == "f":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    (entry,) = find(["f"]).entries
    assert (entry.path, entry.error) == ("f", "The folder cannot be read: Permission denied.")
