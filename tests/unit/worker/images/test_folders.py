"""Folders are listed whole, in one order, and never hang, loop or lead out of their root."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pictures import jpeg
from worker.errors import ImageError, ImageFileTooLargeError, InvalidRequestError, NotFoundError
from worker.images.folders import Folder, SkippedFiles, find_folder, walk

IMAGE = jpeg(100)


def folder_of(path: Path, root: Path | None = None) -> Folder:
    return Folder(os.path.realpath(os.fsencode(root or path)), os.fsencode(path))


def listed(path: Path, *, root: Path | None = None, **options: object) -> tuple[list[bytes], int]:
    skipped = SkippedFiles()
    found = list(walk(folder_of(path, root), skipped=skipped, **options))  # type: ignore[arg-type]
    return found, skipped.count


def put(path: Path, content: bytes = IMAGE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_images_are_known_by_suffix_or_content_and_others_are_counted(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg")
    put(tmp_path / "empty.JPEG", b"")
    put(tmp_path / "no suffix")
    put(tmp_path / "renamed.txt")
    put(tmp_path / ".DS_Store", b"\0\0\0\1Bud1")
    put(tmp_path / "._a.jpg", b"\0\5\26\7")
    put(tmp_path / "notes.txt", b"text")
    found, skipped = listed(tmp_path)
    assert found == [b"a.jpg", b"empty.JPEG", b"no suffix", b"renamed.txt"]
    assert skipped == 3


def test_the_order_is_that_of_the_bytes_of_whole_paths(tmp_path: Path) -> None:
    for name in ("b/1.jpg", "b.jpg", "b-1.jpg", "a/z/1.jpg", "a/y.jpg", "B.jpg", "é.jpg", "z.jpg"):
        put(tmp_path / name)
    found, _ = listed(tmp_path)
    assert found == sorted(found)
    assert len(found) == 8


NAMES = st.text(st.sampled_from("ab.-/é0"), min_size=1, max_size=9).filter(
    lambda text: all(part not in ("", ".", "..") for part in text.split("/"))
)


@given(st.sets(NAMES, min_size=1, max_size=12), st.data())
def test_a_listing_resumed_anywhere_goes_on_with_the_next(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("walk")
    for name in names:
        if not any(other.startswith(f"{name}/") for other in names):
            put(folder / f"{name}.jpg")
    found, _ = listed(folder)
    place = data.draw(st.integers(0, len(found) - 1))
    assert listed(folder, after=found[place])[0] == found[place + 1 :]


def test_a_listing_is_resumed_behind_a_path_that_is_gone(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/1.jpg", "c.jpg"):
        put(tmp_path / name)
    assert listed(tmp_path, after=b"a/2.jpg")[0] == [b"b/1.jpg", b"c.jpg"]


@pytest.mark.parametrize(
    "name", [b"a b.jpg", b"quo\"te'.jpg", b"new\nline.jpg", b"\xff\xfe.jpg", b"=1+1.jpg", b"\\.jpg"]
)
def test_any_name_is_listed_and_read(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).write_bytes(IMAGE)
    assert listed(tmp_path) == ([name], 0)
    assert folder_of(tmp_path).read(name, most_bytes=10_000) == IMAGE


def test_links_to_files_are_followed_within_the_root_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(root / "folder" / "a.jpg")
    put(root / "elsewhere" / "b.jpg")
    outside = put(tmp_path / "secret.jpg")
    (root / "folder" / "inside.jpg").symlink_to(root / "elsewhere" / "b.jpg")
    (root / "folder" / "outside.jpg").symlink_to(outside)
    (root / "folder" / "dangling.jpg").symlink_to(root / "nowhere")
    (root / "folder" / "loop.jpg").symlink_to(root / "folder" / "loop.jpg")
    assert listed(root / "folder", root=root) == ([b"a.jpg", b"inside.jpg"], 3)


def test_a_link_that_is_turned_outward_after_the_listing_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(root / "a.jpg")
    outside = put(tmp_path / "secret.jpg")
    folder = folder_of(root)
    (root / "a.jpg").unlink()
    (root / "a.jpg").symlink_to(outside)
    with pytest.raises(ImageError, match="leads out"):
        folder.read(b"a.jpg", most_bytes=10_000)


def test_links_to_folders_are_not_followed_so_there_are_no_loops(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert listed(tmp_path) == ([b"a/1.jpg"], 1)


def test_pipes_sockets_and_folders_named_like_images_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    put(tmp_path / "folder.jpg" / "a.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()  # noqa: PTH109
        os.chdir(tmp_path)  # the path of a socket must be short
        try:
            server.bind("socket.jpg")
        finally:
            os.chdir(here)
        assert listed(tmp_path) == ([b"folder.jpg/a.jpg"], 2)


def test_a_file_that_became_a_pipe_is_a_failure_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="no file of that name any more"):
        folder_of(tmp_path).read(b"a.jpg", most_bytes=10)


def test_a_file_that_is_gone_or_too_large_says_so(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    with pytest.raises(ImageError, match="no longer there"):
        folder.read(b"a.jpg", most_bytes=10)
    put(tmp_path / "a.jpg", bytes(11))
    with pytest.raises(ImageFileTooLargeError):
        folder.read(b"a.jpg", most_bytes=10)
    assert folder.read(b"a.jpg", most_bytes=11) == bytes(11)


def test_folders_deeper_than_the_call_stack_are_listed(tmp_path: Path) -> None:
    depth = 1500
    here = os.getcwd()  # noqa: PTH109
    os.chdir(tmp_path)
    try:
        for _ in range(depth):
            os.mkdir("d")  # noqa: PTH102
            os.chdir("d")
        Path("a.jpg").write_bytes(IMAGE)
        assert listed(tmp_path)[0] == [b"d/" * depth + b"a.jpg"]
    finally:  # pytest's own cleaning calls itself once per level
        Path("a.jpg").unlink(missing_ok=True)
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d")  # noqa: PTH106
        os.chdir(here)


def test_patterns_and_depth_narrow_the_choice(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", "sub/c.jpg", "sub/d.png"):
        put(tmp_path / name)
    assert listed(tmp_path, recursive=False)[0] == [b"a.jpg", b"b.png"]
    assert listed(tmp_path, patterns=["*.jpg"])[0] == [b"a.jpg", b"sub/c.jpg"]
    assert listed(tmp_path, patterns=["sub/*"])[0] == [b"sub/c.jpg", b"sub/d.png"]
    assert listed(tmp_path, patterns=["a.*", "d.*"])[0] == [b"a.jpg", b"sub/d.png"]


def test_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    assert listed(tmp_path) == ([], 0)


def test_a_folder_that_is_removed_during_the_walk_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.jpg")
    put(tmp_path / "b" / "1.jpg")
    skipped = SkippedFiles()
    found = walk(folder_of(tmp_path), skipped=skipped)
    assert next(found) == b"a/1.jpg"
    (tmp_path / "b" / "1.jpg").unlink()
    (tmp_path / "b").rmdir()
    assert list(found) == []
    assert skipped.count == 1


def test_a_folder_that_cannot_be_read_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        listed(tmp_path / "nowhere")


def test_folders_are_found_under_any_root(tmp_path: Path) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    put(roots[0] / "a" / "1.jpg")
    put(roots[1] / "b" / "2.jpg")
    assert find_folder("b", roots).path == os.fsencode(roots[1] / "b")
    assert find_folder(str(roots[0] / "a"), roots).path == os.fsencode(roots[0] / "a")
    assert find_folder(".", roots).read(b"a/1.jpg", most_bytes=10_000) == IMAGE


@pytest.mark.parametrize("name", ["", "..", "a/../..", "a\0b"])
def test_a_name_that_is_no_path_below_a_root_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        find_folder(name, [tmp_path])


@pytest.mark.parametrize("name", ["nowhere", "a.jpg", "out", "loop", "/", "/etc", "n" * 300])
def test_what_is_no_folder_under_a_root_is_not_found(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    put(root / "a.jpg")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(NotFoundError, match="There is no folder"):
        find_folder(name, [root])
