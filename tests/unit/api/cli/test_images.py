"""Which files are images to classify."""

import os
import tracemalloc
from pathlib import Path

import pytest

from api.cli.survey import check, survey
from api.client.images import ImageEntry, Skipped, walk
from worker.errors import InvalidRequestError
from worker.images import folders

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(*names: str, content: bytes = b"") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def found(*given: str) -> tuple[list[ImageEntry], int]:
    """Return what a walk gives and how many files it passed over."""
    check(given)
    skipped = Skipped()
    return list(walk(given, skipped)), skipped.count


def paths(*given: str) -> list[str]:
    return [entry.path for entry in found(*given)[0]]


def test_a_folder_is_walked_in_the_order_of_names() -> None:
    put("f/b.jpg", "f/a.jpg", "f/a/z.png", "f/c/d/e.webp", "f/Z.JPEG")
    assert paths("f") == ["f/Z.JPEG", "f/a.jpg", "f/a/z.png", "f/b.jpg", "f/c/d/e.webp"]


def test_what_is_named_comes_in_the_order_given_whatever_its_suffix() -> None:
    put("f/a.jpg", "b.txt", "-c.jpg")
    assert paths("b.txt", "f", "-c.jpg", "b.txt") == ["b.txt", "f/a.jpg", "-c.jpg"]


def test_other_files_are_passed_over_and_counted() -> None:
    put("f/a.jpg", "f/.DS_Store", "f/._a.jpg", "f/notes.txt", "f/data", "f/photo.jpg.txt")
    entries, skipped = found("f")
    assert [entry.path for entry in entries] == ["f/a.jpg"]
    assert skipped == 5


def test_a_file_of_another_name_is_an_image_if_it_begins_as_one() -> None:
    put("f/scan", ".f", "f/.hidden", "f/photo.txt", content=PNG)
    put("f/empty")
    assert paths("f") == ["f/.hidden", "f/photo.txt", "f/scan"]
    assert found("f")[1] == 1


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
    assert found("f")[1] == 3


def test_what_is_neither_file_nor_folder_does_not_hang() -> None:
    put("f/a.jpg")
    os.mkfifo("f/pipe.jpg")
    os.mkfifo("f/pipe")
    assert paths("f") == ["f/a.jpg"]
    with pytest.raises(InvalidRequestError, match=r"f/pipe is neither a file nor a folder"):
        check(["f/pipe"])


@pytest.mark.parametrize("given", ["none.jpg", "caf\udce9", "a\nb", ""])
def test_a_path_that_is_not_there_is_named(given: str) -> None:
    with pytest.raises(InvalidRequestError, match="There is no file or folder"):
        check([given])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_gets_a_row() -> None:
    put("f/closed/a.jpg", "f/b.jpg")
    Path("f/closed").chmod(0)
    entries, _ = found("f")
    Path("f/closed").chmod(0o700)
    assert [entry.path for entry in entries] == ["f/b.jpg", "f/closed"]
    assert "cannot be read" in str(entries[1].error)


def test_a_folder_that_vanishes_gets_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    put("f/b.jpg")
    real = os.scandir

    def scandir(path: str) -> object:
        if path == "f":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    ((entry,), _) = found("f")
    assert (entry.path, entry.error) == ("f", "The folder cannot be read: Permission denied.")


def test_names_are_relative_to_a_folder_alone_and_as_given_otherwise() -> None:
    put("f/b.jpg", "f/d/a.jpg", "x.jpg")

    def names(*given: str) -> list[str]:
        return [entry.name for entry in walk(given)]

    assert names("f") == names("f/") == names("./f") == ["b.jpg", "d/a.jpg"]
    assert names("f", "./x.jpg") == ["f/b.jpg", "f/d/a.jpg", "./x.jpg"]
    put("f/caf\udce9.jpg", "f/two\nlines.jpg")
    assert names("f") == ["b.jpg", r"caf\xe9.jpg", "d/a.jpg", "two\nlines.jpg"]


def test_the_order_is_that_in_which_the_server_lists_a_folder(tmp_path: Path) -> None:
    put("f/b.jpg", "f/a.jpg", "f/a/z.png", "f/a b/c.jpg", "f/ü.jpg", "f/caf\udce9.jpg", "f/Z.JPG")
    put("f/\uffee.jpg", "f/\U0001f600.jpg", "f/scan", content=PNG)
    listed = folders.walk(folders.find_folder("f", [tmp_path]))
    assert [os.fsencode(entry.path)[2:] for entry in walk(["f"])] == list(listed)


def test_a_survey_changes_with_names_sizes_and_times_and_with_nothing_else() -> None:
    put("f/a.jpg", "f/b.jpg", "f/notes.txt")
    before = survey(["f"])
    assert (before.images, before.skipped, before.problems) == (2, 1, [])
    assert survey(["f/"]).digest == survey([str(Path("f").absolute())]).digest == before.digest
    digests = {before.digest, survey(["f/a.jpg", "f/b.jpg"]).digest}
    os.utime("f/a.jpg", ns=(1, 1))
    digests.add(survey(["f"]).digest)
    put("f/a.jpg", content=b"longer")
    os.utime("f/a.jpg", ns=(1, 1))
    digests.add(survey(["f"]).digest)
    Path("f/a.jpg").rename("f/c.jpg")
    digests.add(survey(["f"]).digest)
    assert len(digests) == 5


def test_a_walk_holds_no_more_than_it_needs() -> None:
    put(*(f"f/d{number % 100}/{number:05}.jpg" for number in range(5000)))
    tracemalloc.start()
    for _ in walk(["f"]):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
